package collective

import (
	"context"
	"hash/crc32"

	"github.com/tutti-ml/tutti/transport"
)

// lane is a link to a peer that frames go out on, and what is on its way there. A communicator's
// frames to a peer all take the same lane, in order: what is sent on another does not hold them up.
type lane struct {
	out      transport.Link
	inliner  transport.Inliner // the same, where it is one
	inline   int               // up to how many bytes of payload it copies at once
	inflight queue[lent]       // frames that the link has taken and not yet let go
	reaped   uint64            // how many of the link's frames have been let go
	control  queue[control]
	opened   chan struct{} // of the urgent lane: closed when its link has been opened, or can't be
}

// use makes l the link of the lane.
func (ln *lane) use(l transport.Link) {
	ln.out = l
	if ln.inliner, _ = l.(transport.Inliner); ln.inliner != nil {
		ln.inline = ln.inliner.Inline()
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

// laneOf returns the lane that a communicator's frames take, nil when none has gone yet.
func (p *peer) laneOf(comm uint32) *lane {
	for _, ch := range p.channels {
		if ch.id.comm == comm && ch.lane != nil {
			return ch.lane
		}
	}
	return nil
}

// chooseLane chooses the lane of a channel, for good: that of the communicator's other channel, so that
// what ends the communicator comes after the frames of both.
func (ch *channel) chooseLane() *lane {
	if ch.lane = ch.peer.laneOf(ch.id.comm); ch.lane == nil {
		ch.lane = &ch.peer.lane
		if ch.comm.planner.priority && ch.peer.urgent.out != nil {
			ch.lane = &ch.peer.urgent
		}
	}
	return ch.lane
}

// laden reports whether frames are on their way to the peer.
func (p *peer) laden() bool {
	return p.control.len() > 0 || p.inflight.len() > 0 ||
		p.urgent.control.len() > 0 || p.urgent.inflight.len() > 0
}

// reclaim takes back what the links have of callers' memory, which is theirs again when their calls
// return.
func (e *engine) reclaim(p *peer) {
	e.scratch.reclaimed()
	for _, ln := range []*lane{&p.lane, &p.urgent} {
		if ln.inflight.len() > 0 && ln.out != nil {
			ln.out.Reclaim()
		}
	}
	for _, l := range p.links {
		if l.expected {
			l.Reclaim()
			l.expected = false
		}
	}
}

// openUrgent opens a link for what has priority. Each rank opens its own and sends on that alone, so
// the peer needs to know nothing of it. It gives up the turn while it dials. Without the link the
// frames go with all others.
func (e *engine) openUrgent(ctx context.Context, p *peer) {
	u := &p.urgent
	if opened := u.opened; opened != nil {
		e.mu.Unlock()
		select {
		case <-opened:
		case <-ctx.Done():
		}
		e.enter()
		return
	}
	u.opened = make(chan struct{})
	e.mu.Unlock()
	l, err := e.dial(ctx, p)
	e.enter()
	close(u.opened)
	switch {
	case err == nil && p.err == nil:
		p.links = append(p.links, newInLink(l))
		u.use(l)
	case err == nil:
		_ = l.Close() // nothing was sent on it
	case ctx.Err() != nil:
		u.opened = nil // the next call may have more time
	default:
		e.log.Info("what has priority shares the link of all else", "rank", e.rank, "peer", p.rank, "err", err)
	}
}

// pumpSends offers what the call may send now to the link.
func (e *engine) pumpSends(cl *callLink) (moved bool) {
	ch, p, c := cl.ch, cl.peer, cl.call
	ln := ch.lane
	if ln == nil {
		ln = ch.chooseLane()
	}
	if ln.out == nil || p.deaf != nil || ch.sendQ.head() != cl || (ln.control.len() > 0 && !e.flushLane(p, ln)) {
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
		e.data(ch, c.entry, c.seq, uint32(cl.sendAt), n)
		pieces := e.payload(cl, o)
		if e.checksum {
			e.header.Flags |= transport.Checksummed
			e.header.Checksum = crc32.Update(crc32.Checksum(pieces[0], castagnoli), castagnoli, pieces[1])
		}
		ok, err := ln.out.Send(&e.header, pieces)
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
		ln.inflight.push(lent{cl, op, cl.staged})
		cl.staged = nil
		cl.sendAt++
		moved = true
	}
	if cl.sendAt == len(cl.link.Sends) {
		ch.sendQ.pop()
	}
	return moved
}

// data fills the header of a frame of call seq.
func (e *engine) data(ch *channel, entry *planned, seq uint64, frame, length uint32) {
	// Field by field: a literal would be built elsewhere and copied, which stalls on what was just
	// written.
	h := &e.header
	h.Kind, h.Flags, h.Checksum = transport.Data, flagsOf(ch), 0
	h.Epoch, h.Comm, h.Seq = ch.comm.epoch, ch.id.comm, seq
	h.Step, h.Length, h.Credit = frame, length, ch.taken
	h.Fingerprint = *entry.fingerprint
}

// reap notes which lends have ended.
func (e *engine) reap(p *peer) (moved bool) {
	moved = e.reapLane(p, &p.lane)
	return e.reapLane(p, &p.urgent) || moved
}

func (e *engine) reapLane(p *peer, ln *lane) (moved bool) {
	if ln.out == nil || ln.inflight.len() == 0 {
		return false
	}
	n, err := ln.out.Sent()
	for ln.reaped < n && ln.inflight.len() > 0 {
		ln.reaped++
		moved = true
		f := ln.inflight.pop()
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

// flushControl offers the peer's control frames to the links.
func (e *engine) flushControl(p *peer) {
	e.flushLane(p, &p.lane)
	e.flushLane(p, &p.urgent)
}

// flushLane offers the control frames of a lane to its link; it reports whether none is left.
func (e *engine) flushLane(p *peer, ln *lane) bool {
	for ln.control.len() > 0 {
		if ln.out == nil {
			return false
		}
		f := &ln.control.items[ln.control.at]
		if f.header.Kind == transport.Credit {
			ch := p.channel(idOf(&f.header))
			f.header.Credit = ch.taken
			ch.told = ch.taken
		}
		ok, err := ln.out.Send(&f.header, [2][]byte{f.payload})
		if err != nil {
			e.deafened(p, err) // what it has sent may be all that this rank needs of it
			return false
		}
		if !ok {
			return false
		}
		ln.inflight.push(lent{})
		ln.control.pop()
	}
	return true
}

// tell queues a control frame, behind what its communicator has sent, and offers it at once.
func (e *engine) tell(p *peer, h transport.Header, payload []byte) {
	if p == nil || p.deaf != nil {
		return
	}
	h.Length = uint32(len(payload))
	ln := p.laneOf(h.Comm)
	if ln == nil {
		ln = &p.lane
	}
	ln.control.push(control{h, payload})
	e.flushLane(p, ln)
}

func flagsOf(ch *channel) transport.Flags {
	if ch.id.p2p {
		return transport.PointToPoint
	}
	return 0
}
