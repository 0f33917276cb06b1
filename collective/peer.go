package collective

import (
	"hash/crc32"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/transport"
)

// peer is another process of the job, with the links to it. Frames go out on one link; they may
// come in on two, when both ends have dialled.
type peer struct {
	rank      int // in the job
	host      string
	addresses []byte

	out      transport.Link
	links    []*inLink
	inflight queue[lent] // frames that the link has taken and not yet let go
	reaped   uint64      // how many of the link's frames have been let go
	control  queue[control]
	channels []*channel
	dialling bool
	rounding bool           // it is being told on a second link why communicators have ended
	second   transport.Link // that link
	rounded  time.Time      // when it was told
	polling  bool
	ended    error // what was found wrong while polling
	deaf     error // why nothing can be sent to the peer; what it has sent may still be read
	err      error // why the peer can't be reached any more, neither way
}

// inLink is the receiving side of a link.
type inLink struct {
	transport.Link
	filling *heldFrame // the head frame, being moved to held memory
	fillCh  *channel
	ctl     []byte // payload of the control frame at the head
	stalled bool   // the head frame waits for an operation that can't run yet
	// head is the header of a head frame without payload that waits: the link's own is gone with
	// the next call of Next.
	head transport.Header
	kept bool
}

// next returns the header of the frame at the head. It is gone with the last byte of the payload.
func (l *inLink) next() (*transport.Header, error) {
	if l.kept {
		return &l.head, nil
	}
	return l.Next()
}

// stall leaves the frame at the head, whose header is h, where it is.
func (l *inLink) stall(h *transport.Header) {
	l.stalled = true
	if h.Length == 0 && !l.kept {
		l.head, l.kept = *h, true
	}
}

// lent is an operation whose memory a link has; no call for a control frame. staged is memory of the
// engine's that the link has instead.
type lent struct {
	cl     *callLink
	op     int32
	staged *heldFrame
}

// control is a frame about calls instead of in one.
type control struct {
	header  transport.Header
	payload []byte
}

// channel returns a communicator's channel to the peer, made on first use.
func (p *peer) channel(id channelID) *channel {
	for _, ch := range p.channels {
		if ch.id == id {
			return ch
		}
	}
	ch := &channel{id: id, peer: p}
	p.channels = append(p.channels, ch)
	return ch
}

// pumpSends offers what the call may send now to the link.
func (e *engine) pumpSends(cl *callLink) (moved bool) {
	ch, p, c := cl.ch, cl.peer, cl.call
	if p.out == nil || p.deaf != nil || ch.sendQ.head() != cl || (p.control.len() > 0 && !e.flushControl(p)) {
		return false
	}
	for cl.sendAt < len(cl.link.Sends) {
		op := cl.link.Sends[cl.sendAt]
		if c.pending[op] != 0 {
			break
		}
		o := &c.plan.Ops[op]
		n := uint32(c.carried(o.A.Len()))
		if !ch.room(n + transport.HeaderBytes) {
			break
		}
		e.data(ch, cl, n)
		pieces := e.payload(cl, o)
		if e.checksum {
			e.header.Flags |= transport.Checksummed
			e.header.Checksum = crc32.Update(crc32.Checksum(pieces[0], castagnoli), castagnoli, pieces[1])
		}
		ok, err := p.out.Send(&e.header, pieces)
		if err != nil {
			e.deafened(p, err)
			e.lost(p, err)
			return true
		}
		if !ok {
			break
		}
		ch.sent += n + transport.HeaderBytes
		ch.told = ch.taken
		p.inflight.push(lent{cl, op, cl.staged})
		cl.staged = nil
		cl.sendAt++
		moved = true
	}
	if cl.sendAt == len(cl.link.Sends) {
		ch.sendQ.pop()
	}
	return moved
}

// data fills the header of the next frame of a call.
func (e *engine) data(ch *channel, cl *callLink, length uint32) {
	// Field by field: a literal would be built elsewhere and copied, which stalls on what was just
	// written.
	h := &e.header
	h.Kind, h.Flags, h.Checksum = transport.Data, flagsOf(ch), 0
	h.Epoch, h.Comm, h.Seq = ch.comm.epoch, ch.id.comm, cl.call.seq
	h.Step, h.Length, h.Credit = uint32(cl.sendAt), length, ch.taken
	h.Fingerprint = cl.call.entry.fingerprint
}

// reap notes which lends have ended.
func (e *engine) reap(p *peer) (moved bool) {
	if p.out == nil || p.inflight.len() == 0 {
		return false
	}
	n, err := p.out.Sent()
	for p.reaped < n && p.inflight.len() > 0 {
		p.reaped++
		moved = true
		f := p.inflight.pop()
		if f.staged != nil {
			e.spare.put(f.staged)
		}
		if f.cl != nil && !f.cl.call.done {
			f.cl.ended++
			f.cl.call.opDone(f.op)
		}
	}
	if err != nil && p.deaf == nil {
		e.deafened(p, err)
		e.lost(p, err)
		return true
	}
	return moved
}

// flushControl offers the peer's control frames to the link; it reports whether none is left.
func (e *engine) flushControl(p *peer) bool {
	for p.control.len() > 0 {
		if p.out == nil {
			return false
		}
		f := &p.control.items[p.control.at]
		if f.header.Kind == transport.Credit {
			ch := p.channel(idOf(&f.header))
			f.header.Credit = ch.taken
			ch.told = ch.taken
		}
		ok, err := p.out.Send(&f.header, [2][]byte{f.payload})
		if err != nil {
			e.deafened(p, err) // what it has sent may be all that this rank needs of it
			return false
		}
		if !ok {
			return false
		}
		p.inflight.push(lent{})
		p.control.pop()
	}
	return true
}

// tell queues a control frame and offers it at once.
func (e *engine) tell(p *peer, h transport.Header, payload []byte) {
	if p == nil || p.deaf != nil {
		return
	}
	h.Length = uint32(len(payload))
	p.control.push(control{h, payload})
	e.flushControl(p)
}

// receive takes bytes of the frame at the head of a link into the operation that expects it, and
// reports whether the frame is complete.
func (e *engine) receive(cl *callLink, l *inLink, flags transport.Flags) (moved, whole bool, err error) {
	c := cl.call
	o := &c.plan.Ops[cl.link.Recvs[cl.recvAt]]
	n := c.carried(o.Dst.Len())
	elem := c.carried(c.typ.Size())
	for cl.got < n {
		var took int
		if o.Kind == schedule.Recv && c.entry.wire == 0 {
			dst := c.part(&o.Dst, cl.got, n-cl.got)
			if took, err = l.Read(dst); took > 0 {
				e.sum(cl, flags, dst[:took])
			}
		} else {
			var b []byte
			if b, err = l.Peek(); len(b) >= elem {
				took = min(len(b)-len(b)%elem, n-cl.got)
				c.absorb(o, cl.got, b[:took])
				e.sum(cl, flags, b[:took])
				l.Discard(took)
			}
		}
		if err != nil || took == 0 {
			return moved, false, err
		}
		cl.got += took
		moved = true
	}
	return true, true, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum adds bytes to the checksum of a frame that has one.
func (e *engine) sum(cl *callLink, flags transport.Flags, b []byte) {
	if flags&transport.Checksummed != 0 {
		cl.crc = crc32.Update(cl.crc, castagnoli, b)
	}
}

// received notes that the frame of a call's next receive is complete: flags and checksum are those
// of its header.
func (e *engine) received(cl *callLink, flags transport.Flags, checksum uint32) {
	c := cl.call
	if flags&transport.Checksummed != 0 && cl.crc != checksum {
		e.protocol(c.comm, cl.peer, "checksum of frame %d of %s is %#x, want %#x",
			cl.recvAt, describe(c.seq, c.entry.fingerprint), cl.crc, checksum)
		return
	}
	i := cl.link.Recvs[cl.recvAt]
	o := &c.plan.Ops[i]
	c.complete(o)
	cl.recvAt++
	cl.got, cl.crc = 0, 0
	ch := cl.ch
	if cl.recvAt == len(cl.link.Recvs) {
		ch.recvQ.pop()
	}
	if ch.take(uint32(c.carried(o.Dst.Len())) + transport.HeaderBytes) {
		ch.told = ch.taken
		e.tell(cl.peer, transport.Header{
			Kind: transport.Credit, Comm: ch.id.comm, Epoch: ch.comm.epoch, Credit: ch.taken, Flags: flagsOf(ch),
		}, nil)
	}
	c.opDone(i)
}

func flagsOf(ch *channel) transport.Flags {
	if ch.id.p2p {
		return transport.PointToPoint
	}
	return 0
}
