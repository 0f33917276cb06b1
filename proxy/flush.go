package proxy

import "github.com/tutti-ml/tutti/transport"

// flush sends what can be sent to a peer, and says whether something moved. A peer that has more to
// send stays in the list of those to flush.
func (e *engine) flush(p *peer) (moved bool) {
	b := &p.outbox
	for p.out != nil {
		l := p.out
		if b.current == nil && !b.gather() {
			break
		}
		taken, err := e.sendFragment(l, p, b.current)
		if err != nil {
			e.broken(l, err)
			return true
		}
		e.reap(l)
		if !taken && !l.closed { // a link that has just broken may have left the peer another one
			return moved
		}
		moved = true
	}
	if p.inflow.overdue() && e.acknowledge(p) {
		moved = true
	}
	p.dirty = false
	return moved
}

// fragmentBytes bounds what of a message goes out in one frame.
const fragmentBytes = 1 << 20

// sendFragment offers the next part of a message to a link.
func (e *engine) sendFragment(l *link, p *peer, o *outgoing) (bool, error) {
	if len(p.outbox.batch) > 0 {
		return e.sendBatch(l, p)
	}
	var taken, room bool
	var err error
	if e.stages(p, o) {
		taken, room, err = e.sendStaged(l, p, o)
	}
	if !room {
		taken, err = e.sendLent(l, p, o)
	}
	if !taken || err != nil {
		return false, err
	}
	if o.sent == len(o.meta)+len(o.body) {
		p.outbox.current = nil
		e.unstage(o)
		e.sentMessages++
		e.sentBytes += uint64(o.size())
		if o.void && len(o.body) > 0 { // the rest of one given up
			p.outbox.makeVoid(o)
		}
	}
	return true, nil
}

// sendLent offers the next part of a message to a link, out of the sender's memory.
func (e *engine) sendLent(l *link, p *peer, o *outgoing) (bool, error) {
	var pieces [2][]byte
	if o.sent == 0 {
		pieces[0] = o.meta
		pieces[1] = o.body[:min(len(o.body), fragmentBytes)]
	} else {
		first := o.sent - len(o.meta)
		pieces[0] = o.body[first:min(len(o.body), first+fragmentBytes)]
	}
	taken, err := e.sendData(l, p, pieces)
	if !taken || err != nil {
		return false, err
	}
	o.lent = true
	o.sent += len(pieces[0]) + len(pieces[1])
	o.step++
	return true, nil
}

// sendBatch offers several small messages to a link, in one frame.
func (e *engine) sendBatch(l *link, p *peer) (bool, error) {
	if e.reap(l); l.closed || l.batched > l.done {
		return false, nil // it has just broken, or has the last frame still
	}
	b := &p.outbox
	l.frame = append(append(l.frame[:0], b.current.meta...), b.current.body...)
	for _, o := range b.batch {
		l.frame = append(append(l.frame, o.meta...), o.body...)
	}
	taken, err := e.sendData(l, p, [2][]byte{l.frame})
	if !taken || err != nil {
		return false, err
	}
	l.batched = l.taken
	b.current.sent = int(b.current.size())
	for i, o := range b.batch {
		o.sent = int(o.size())
		b.batch[i] = nil
	}
	e.sentMessages += uint64(1 + len(b.batch))
	e.sentBytes += uint64(len(l.frame))
	b.current, b.batch = nil, b.batch[:0]
	return true, nil
}

// sendData offers a frame of what is to be sent next to a link.
func (e *engine) sendData(l *link, p *peer, pieces [2][]byte) (bool, error) {
	o, h := p.outbox.current, &e.header
	*h = transport.Header{
		Kind: transport.Data, Seq: o.seq, Step: o.step, Length: uint32(len(pieces[0]) + len(pieces[1])),
	}
	putAcks(h.Fingerprint[:], p.inflow.delivered, p.inflow.consumed)
	taken, err := l.Send(h, pieces)
	if !taken || err != nil {
		return false, err
	}
	l.taken++
	l.spoke = e.now()
	p.inflow.acked()
	return true, nil
}
