package collective

import (
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/transport"
)

const (
	// expectAhead is of up to how many bytes a link is told ahead of time: the peer may send as
	// much. It is of 4 to 64 frames, and the link hears of several at once, when a quarter of
	// these have come.
	expectAhead = window
	// expectMin is the least payload of which it is told.
	expectMin = 16 << 10
)

// expect tells the link that a channel's frames come on where payloads will be read to, of
// frames that nothing more has to happen before: whatever memory they go to is idle until then.
// None of them may be here already.
func (e *engine) expect(cl *callLink, l *inLink) {
	c, ch := cl.call, cl.ch
	if c.entry.wire != 0 || ch.held.len() > 0 {
		return
	}
	ahead := min(max(expectAhead/max(c.plan.ChunkBytes, 1), 4), 64)
	if cl.askAt-cl.recvAt > ahead-ahead/4 {
		return
	}
	cl.askAt = max(cl.askAt, cl.recvAt)
	if cl.got > 0 {
		cl.askAt = max(cl.askAt, cl.recvAt+1)
	}
	for end := min(len(cl.link.Recvs), cl.recvAt+ahead); cl.askAt < end; cl.askAt++ {
		op := cl.link.Recvs[cl.askAt]
		if c.pending[op] != 0 {
			return
		}
		o := &c.plan.Ops[op]
		n := o.Dst.Len()
		if o.Kind != schedule.Recv || n < expectMin || o.Dst.Pieces[0].Len != n {
			continue
		}
		h := &e.header
		*h = transport.Header{
			Kind: transport.Data, Flags: flagsOf(ch), Epoch: ch.comm.epoch, Comm: ch.id.comm, Seq: c.seq,
			Step: uint32(cl.askAt), Length: uint32(n), Fingerprint: *c.entry.fingerprint,
		}
		if l.expecter.Expect(h, c.part(&o.Dst, 0, n)) {
			l.expected = true
		}
	}
}
