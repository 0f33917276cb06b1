package proxy

import (
	"fmt"
	"slices"
	"time"
)

// peer is another component, under its name; its process may change.
type peer struct {
	rec     record // of the incarnation that is, or was last, there
	present bool   // the store says that it is there
	related bool   // one of both expects the other's type; else it is known because of a relay
	lost    error  // why it is not; nil while it is or may come back soon
	away    time.Time
	cause   error // why it is away
	refused bool  // its address is: it is dialled on, for the store says that it is there
	rejoins int
	left    bool // it said goodbye

	out    *link // what is sent goes here
	links  []*link
	outbox outbox
	inflow inflow
	dialer dialer
	rooms  []*waiter // that wait for room in the outbox
	dirty  bool      // it may have something to send
	listed bool      // it is in the engine's list of those that may
}

func (p *peer) name() string { return p.rec.Name }

// expected says whether there may be a link to the peer: its process is not known to have ended.
func (p *peer) expected() bool { return p.present || p.refused && p.lost == nil }

// where describes the peer's place for people.
func (p *peer) where() string {
	return fmt.Sprintf("%s, process %d", p.rec.Host, p.rec.PID)
}

// inflow is the state of the stream from a peer's incarnation.
type inflow struct {
	delivered  uint64 // messages taken, all before included
	ordinal    uint64 // requests taken
	consumed   uint64 // requests that the application has received, all before included
	early      map[uint64]bool
	unconsumed int64 // bytes of requests that it has not received yet
	unacked    int   // messages that came since an acknowledgement was sent
	unackedB   int64
	ackDue     bool
}

// consume notes that the application has received a request.
func (f *inflow) consume(ordinal uint64, size int64) {
	f.unconsumed -= size
	f.unackedB += size
	f.ackDue = true
	if ordinal != f.consumed+1 {
		if f.early == nil {
			f.early = map[uint64]bool{}
		}
		f.early[ordinal] = true
		return
	}
	f.consumed++
	for len(f.early) > 0 && f.early[f.consumed+1] {
		f.consumed++
		delete(f.early, f.consumed)
	}
}

// Acknowledgements go with messages the other way; where there are none, alone, once so much has
// come in, and before the leader parks.
const (
	ackMessages = 64
	ackBytes    = 1 << 20
)

// overdue says whether the peer should not wait for an acknowledgement any longer.
func (f *inflow) overdue() bool {
	return f.ackDue && (f.unacked >= ackMessages || f.unackedB >= ackBytes)
}

// tooLarge says whether the peer would refuse a message.
func (p *peer) tooLarge(o *outgoing) bool {
	return p.outbox.maxBody > 0 && o.largest > p.outbox.maxBody
}

func (p *peer) largeError(o *outgoing) error {
	return &ArgumentError{"send", "body", fmt.Sprintf("%d bytes, and %s takes at most %d; "+
		"see WithMaxMessage", o.largest, p.name(), p.outbox.maxBody)}
}

// failLarge fails what was sent to a peer before it told how much it takes.
func (e *engine) failLarge(p *peer) {
	for o := p.outbox.requests.head; o != nil; {
		next := o.next
		switch {
		case o.void || !p.tooLarge(o):
		case o.relay: // the source will learn it by itself
			e.giveUp(o)
		default:
			e.fail(o, p.largeError(o))
		}
		o = next
	}
}

// post puts a message into the peer's outbox and sends what can be sent.
func (e *engine) post(p *peer, o *outgoing) {
	o.peer, o.posted = p, e.now()
	if o.answer {
		p.outbox.answers.push(o)
	} else {
		p.outbox.requests.push(o)
	}
	switch {
	case e.leading && !e.parked, e.wanting.Load() > 0:
		e.flushSoon(p) // who leads, or has the turn next, sends it, with what else there is by then
	case e.corks(o):
		e.corked++
		e.flushSoon(p)
	default:
		e.flushSoon(p)
		e.flushDirty()
	}
}

// A message that was posted waits for the next one, to go out with it, where the application is
// going through messages that came together and answers them quickly. What proves wrong costs
// dozeTime.
const (
	corkMessages = 128
	corkTime     = 50 * time.Microsecond
)

// corks says whether a message that is posted should wait for others.
func (e *engine) corks(o *outgoing) bool {
	return e.length > 0 && e.corked < corkMessages && o.size() <= smallBytes &&
		time.Since(e.took) < corkTime
}

// tookOne is told that the application takes a message.
func (e *engine) tookOne() {
	if e.length > 0 {
		e.took = time.Now()
	}
}

// settle ends the life of a message: nothing of it is needed any more, but for its number on the
// stream, where a relay was quicker.
func (e *engine) settle(o *outgoing, stage Stage) {
	if o.queue == nil {
		return
	}
	p := o.peer
	if o.seq > p.outbox.delivered && !o.void && !o.consumed {
		e.giveUp(o)
		o.stage = stage
		return
	}
	if !o.answer && o.seq > 0 && !o.consumed {
		o.consumed = true
		p.outbox.flying -= o.flight
		e.flushSoon(p)
	}
	o.queue.remove(o)
	e.giveBack(p, o)
	e.unstage(o)
	o.memory.release()
	o.memory = nil
	o.stage = stage
	e.roomFor(p)
}

// giveBack ends that a link reads a message that is settled. Most have left by then; one that is
// sent a second time may be under way still, when the peer says that it has it from a link before.
func (e *engine) giveBack(p *peer, o *outgoing) {
	switch {
	case o.sent == 0:
		p.outbox.skip(o)
	case p.outbox.current == o:
		o.body = slices.Clone(o.body) // the rest has to follow
		e.unstage(o)
	}
	if o.again && o.sent > 0 && o.lent && p.out != nil && p.out.taken > p.out.done {
		e.reclaim(p.out)
	}
}

// giveUp ends the life of a message that nobody waits for any more, and gives its memory back to
// the sender. One that the peer has, or will have, goes on to count in its window until it is
// consumed.
func (e *engine) giveUp(o *outgoing) {
	if o.queue == nil || o.void {
		return
	}
	p := o.peer
	lent := o.sent > 0 && o.lent
	e.unstage(o)
	switch {
	case o.seq == 0 || o.consumed || o.answer && o.seq <= p.outbox.delivered:
		e.settle(o, o.stage)
	default:
		p.outbox.makeVoid(o)
	}
	if lent && p.out != nil && p.out.taken > p.out.done {
		e.reclaim(p.out)
	}
}

// acknowledged is told what a peer has of the stream to it. The numbers come off the wire.
func (e *engine) acknowledged(p *peer, delivered, consumed uint64) error {
	b := &p.outbox
	if delivered > b.seq {
		return &WireError{"messages delivered", delivered, fmt.Sprint("at most ", b.seq)}
	}
	if consumed > b.ordinal {
		return &WireError{"requests consumed", consumed, fmt.Sprint("at most ", b.ordinal)}
	}
	if delivered > b.delivered {
		b.delivered = delivered
		for o := b.answers.head; o != nil && o.seq > 0 && o.seq <= delivered; o = b.answers.head {
			e.settle(o, o.stage)
		}
		if e.closing {
			e.changed() // Close waits until everything is delivered
		}
	}
	if consumed > b.consumed {
		b.consumed = consumed
		for o := b.requests.unconsumed; o != nil && o.ordinal > 0 && o.ordinal <= consumed; {
			if o.seq > b.delivered {
				return &WireError{"requests consumed", consumed, "no more than were delivered"}
			}
			next := o.next
			b.requests.unconsumed = next
			if !o.consumed {
				o.consumed = true
				b.flying -= o.flight
			}
			e.wasConsumed(o)
			o = next
		}
		e.flushSoon(p)
		e.roomFor(p)
	}
	return nil
}

// flushSoon sees to it that the next pass looks at what there is to send to p.
func (e *engine) flushSoon(p *peer) {
	p.dirty = true
	if !p.listed {
		p.listed = true
		e.dirty = append(e.dirty, p)
	}
}

// roomFor tells those that wait for room in a peer's outbox to look again.
func (e *engine) roomFor(p *peer) {
	for _, w := range p.rooms {
		e.finish(w, nil)
	}
	p.rooms = p.rooms[:0]
}

// room says whether one more message can be kept for a peer.
func (e *engine) room(p *peer) bool {
	q, r := &p.outbox.requests, &p.outbox.relayed
	messages, bytes, kept := q.messages+r.messages, q.bytes+r.bytes, q.kept()+r.kept()
	if p.present || e.rejoin == nil {
		return messages < maxUnsettledMessages && (bytes < maxUnsettledBytes || kept == 0)
	}
	return kept < e.rejoin.CacheMessages && (bytes < e.rejoin.CacheBytes || kept == 0)
}
