package collective

import (
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/transport"
)

// maxStrangers bounds the channels that a peer may open for communicators that this rank has not
// made yet.
const maxStrangers = 64

// streamBytes is the least payload of a frame that takes long enough for others to be looked at after
// it.
const streamBytes = 32 << 10

// poll takes what has arrived from a peer. What it does may come back here, by way of a send that
// fails and makes the engine read what there is: the frame at hand comes first then.
func (e *engine) poll(p *peer) (moved bool) {
	if p.polling {
		return false
	}
	if e.pollLinks(p) {
		moved = true
	}
	if p.ended != nil {
		e.lost(p, p.ended)
	}
	return moved
}

func (e *engine) pollLinks(p *peer) (moved bool) {
	p.polling = true
	defer func() { p.polling = false }() // a function of the user's may end the goroutine
	for i := 0; i < len(p.links); i++ {
		if e.pollLink(p, p.links[i]) {
			moved = true
		}
	}
	return moved
}

// pollBytes is how much is taken from a link until it is time to send what has come of that. Where each of
// two ranks takes all that is there before it sends, one works while the other waits: an all-reduce of
// 64 MiB over shared memory took twice as long.
const pollBytes = 64 << 10

// pollLink takes frames from a link until there is none, or the one at the head has to wait, or enough.
func (e *engine) pollLink(p *peer, l *inLink) (moved bool) {
	for taken := uint32(0); taken < pollBytes; {
		l.stalled = false
		if l.filling != nil {
			if !e.fill(p, l) {
				return moved
			}
			moved = true
			continue
		}
		h, err := l.next()
		if err != nil {
			if p.err == nil {
				e.lost(p, err)
				return true
			}
			return moved
		}
		if h == nil {
			return moved
		}
		var again, did bool
		taken += transport.HeaderBytes + h.Length
		if h.Kind == transport.Data {
			again, did = e.dataFrame(p, l, h)
		} else {
			again, did = e.controlFrame(p, l, h)
		}
		moved = moved || did
		if !again {
			return moved
		}
		l.kept = false
	}
	return moved
}

// dataFrame hands the frame at the head of a link to the operation that expects it. It reports
// whether to look for another one behind it, and whether anything moved.
func (e *engine) dataFrame(p *peer, l *inLink, h *transport.Header) (again, moved bool) {
	ch := e.channelOf(p, h)
	if ch == nil {
		return false, true // the peer has just been given up
	}
	ch.from = l
	if c := ch.comm; c != nil && (c.failed != nil || c.closed || c.epoch != h.Epoch) {
		return e.drop(p, l, h)
	}
	if !e.credited(ch, h.Credit) {
		return false, true
	}
	if ch.held.len() > 0 { // it comes after those
		l.stall(h)
		return false, false
	}
	cl := e.expecting(ch, p, h)
	if ch.comm != nil && ch.comm.failed != nil {
		return true, true // the frame was a mismatch: drop it
	}
	if cl == nil || cl.call.pending[cl.link.Recvs[cl.recvAt]] != 0 {
		l.stall(h)
		return false, false
	}
	flags, checksum, length := h.Flags, h.Checksum, h.Length // h is gone with the payload
	moved, whole, err := e.receive(cl, l, flags)
	if err != nil {
		e.lost(p, err)
		return false, true
	}
	if !whole {
		return false, moved
	}
	e.received(cl, flags, checksum)
	// A look at the link that finds nothing may be a system call. Who expects nothing more on the
	// channel leaves what else may be there to the next pass, which follows since this one has moved.
	// So does a stream of large frames, where there is another link that may bring what is urgent.
	l.kept = false
	return ch.recvQ.len() > 0 && (length < streamBytes || len(p.links) == 1), true
}

// channelOf finds the channel of a frame. A peer may be ahead of this rank and send on a
// communicator that this rank has yet to make, but not on any number of them.
func (e *engine) channelOf(p *peer, h *transport.Header) *channel {
	id := idOf(h)
	strangers := 0
	for _, ch := range p.channels {
		if ch.id == id {
			return e.adopt(ch)
		}
		if ch.comm == nil {
			strangers++
		}
	}
	if e.comms[id.comm] == nil && strangers >= maxStrangers {
		e.protocol(nil, p, "frames for more than %d unknown communicators", maxStrangers)
		return nil
	}
	return e.adopt(p.channel(id))
}

// adopt joins a channel to its communicator once this rank has made it.
func (e *engine) adopt(ch *channel) *channel {
	if ch.comm != nil {
		return ch
	}
	c := e.comms[ch.id.comm]
	if c != nil && c.rankOf(ch.peer) < 0 {
		e.protocol(nil, ch.peer, "frames for communicator %d, which it is not of", ch.id.comm)
		return nil
	}
	ch.comm = c
	return ch
}

// expecting returns the call whose next receive the frame is, nil when no call has posted for it
// yet. A frame that no call will ever post for is a mismatch.
func (e *engine) expecting(ch *channel, p *peer, h *transport.Header) *callLink {
	cl := ch.recvQ.head()
	if cl == nil {
		if ch.comm != nil && !ch.id.p2p {
			e.compare(ch.comm, p, h)
		}
		return nil
	}
	c := cl.call
	if h.Seq != c.seq || h.Fingerprint != *c.entry.fingerprint {
		if !ch.id.p2p {
			e.compare(ch.comm, p, h)
		}
		if ch.comm.failed == nil {
			e.mismatch(ch.comm, c.seq, *c.entry.fingerprint, p, h.Seq, h.Fingerprint)
		}
		return nil
	}
	o := &c.plan.Ops[cl.link.Recvs[cl.recvAt]]
	if int(h.Step) != cl.recvAt || int(h.Length) != c.carried(o.Dst.Len()) {
		if c.entry.counts != nil && c.entry.key.coll == schedule.AllToAll {
			e.mismatch(ch.comm, c.seq, *c.entry.fingerprint, p, h.Seq, h.Fingerprint)
			return nil
		}
		e.protocol(ch.comm, p, "frame %d of %d bytes in %s, want frame %d of %d bytes",
			h.Step, h.Length, describe(h.Seq, h.Fingerprint), cl.recvAt, c.carried(o.Dst.Len()))
		return nil
	}
	return cl
}

// hold moves the frame at the head of a link, which no operation can take yet, to held memory, so
// that what is behind it can be read. The window bounds how much that can become.
func (e *engine) hold(p *peer, l *inLink) (moved bool) {
	h, err := l.next()
	if err != nil || h == nil || h.Kind != transport.Data {
		return false
	}
	ch := e.channelOf(p, h)
	if ch == nil {
		return true
	}
	size := int(h.Length) + transport.HeaderBytes
	if !ch.fits(size) {
		e.protocol(ch.comm, p, "more than %d bytes ahead of this rank", window)
		return true
	}
	ch.heldBytes += size
	// A frame that a call has begun to take stays the call's: only the rest is held, and the
	// operation goes on from there. Begun frames are never stalled, so there is none here.
	l.filling, l.fillCh = e.spare.get(h), ch
	l.stalled, l.kept = false, false
	e.fill(p, l)
	return true
}

// fill moves more of the head frame to held memory; it reports whether the frame is whole.
func (e *engine) fill(p *peer, l *inLink) bool {
	f, ch := l.filling, l.fillCh
	for f.got < len(f.data) {
		n, err := l.Read(f.data[f.got:])
		if err != nil {
			e.lost(p, err)
			return false
		}
		if n == 0 {
			return false
		}
		f.got += n
	}
	l.filling, l.fillCh = nil, nil
	if e.adopt(ch) == nil {
		return false
	}
	if ch.comm != nil && (ch.comm.failed != nil || ch.comm.closed) {
		ch.heldBytes -= len(f.data) + transport.HeaderBytes
		e.spare.put(f)
		return true
	}
	ch.held.push(f)
	return true
}

// takeHeld gives held frames to the operations that have been posted for them since.
func (e *engine) takeHeld(ch *channel) (moved bool) {
	for ch.held.len() > 0 && ch.comm.failed == nil {
		f := ch.held.head()
		cl := e.expecting(ch, ch.peer, &f.header)
		if cl == nil || cl.call.pending[cl.link.Recvs[cl.recvAt]] != 0 {
			return moved
		}
		c := cl.call
		if c.absorb(&c.plan.Ops[cl.link.Recvs[cl.recvAt]], 0, f.data, false); c.done { // a function has panicked
			return true
		}
		e.sum(cl, f.header.Flags, f.data)
		ch.held.pop()
		ch.heldBytes -= len(f.data) + transport.HeaderBytes
		e.received(cl, f.header.Flags, f.header.Checksum)
		e.spare.put(f)
		moved = true
	}
	return moved
}

// drop takes what is here of a frame of a communicator that is of no more use.
func (e *engine) drop(p *peer, l *inLink, h *transport.Header) (again, moved bool) {
	if h.Length == 0 {
		return true, true
	}
	b, err := l.Peek()
	if err != nil {
		e.lost(p, err)
		return false, true
	}
	l.Discard(len(b))
	return len(b) > 0, len(b) > 0
}
