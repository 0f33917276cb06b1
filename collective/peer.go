package collective

import (
	"hash/crc32"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/transport"
)

// peer is another process of the job, with the links to it. Frames go out on one link for each lane;
// they may come in on more, when both ends have dialled.
type peer struct {
	rank      int // in the job
	host      string
	addresses []byte

	lane          // of all communicators without priority, and of those with it that have no other
	urgent   lane // of those with priority
	links    []*inLink
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
	expecter transport.Expecter // the same, where it is one
	inliner  transport.Inliner  // the same, where it is one
	shows    bool               // it is a transport.Shower
	expected bool               // it has memory of callers'
	filling  *heldFrame         // the head frame, being moved to held memory
	fillCh   *channel
	ctl      []byte // payload of the control frame at the head
	stalled  bool   // the head frame waits for an operation that can't run yet
	// head is the header of a head frame without payload that waits: the link's own is gone with
	// the next call of Next.
	head transport.Header
	kept bool
}

func newInLink(l transport.Link) *inLink {
	expecter, _ := l.(transport.Expecter)
	inliner, _ := l.(transport.Inliner)
	_, shows := l.(transport.Shower)
	return &inLink{Link: l, expecter: expecter, inliner: inliner, shows: shows}
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
			if took, err = c.read(l, cl.link.Recvs[cl.recvAt], dst); took > 0 {
				e.sum(cl, flags, dst[:took])
			}
		} else {
			var b []byte
			if b, err = l.Peek(); len(b) >= elem {
				took = min(len(b)-len(b)%elem, n-cl.got)
				if c.absorb(o, cl.got, b[:took], c.coldSum(l, o)); c.done { // a function has panicked
					return true, false, nil
				}
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
			cl.recvAt, describe(c.seq, *c.entry.fingerprint), cl.crc, checksum)
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
		e.giveCredit(ch)
	}
	c.opDone(i)
}

// credited notes what the peer says that it has taken, and reports whether that can be.
func (e *engine) credited(ch *channel, credit uint32) bool {
	if !ch.ack(credit) {
		e.protocol(ch.comm, ch.peer, "credit %d is beyond what was sent", credit)
		return false
	}
	return true
}

// giveCredit tells the peer how much of what it has sent on the channel has been taken.
func (e *engine) giveCredit(ch *channel) {
	if ch.lane == nil {
		ch.chooseLane() // credit must not be overtaken by the newer one of a frame
	}
	ch.told = ch.taken
	e.tell(ch.peer, transport.Header{
		Kind: transport.Credit, Comm: ch.id.comm, Epoch: ch.comm.epoch, Credit: ch.taken, Flags: flagsOf(ch),
	}, nil)
}
