package proxy

import (
	"fmt"
	"slices"
)

// session is one that this component has opened: what it sent, until every peer has settled it.
type session struct {
	id      ID
	kind    SessionType
	targets []*outgoing
	done    chan struct{} // made when somebody asks
	one     [1]*outgoing  // targets, when there is one
}

// open adds a message to the session of its id.
func (e *engine) open(o *outgoing) {
	s := e.sessions[o.session]
	if s == nil {
		s = &o.own
		s.id, s.kind, s.targets = o.session, o.sessionType, s.one[:0]
		e.sessions[o.session] = s
	}
	s.targets = append(s.targets, o)
}

// resolve takes a settled message from its session, which ends with its last one.
func (e *engine) resolve(o *outgoing) {
	s := e.sessions[o.session]
	if s == nil {
		return
	}
	i := slices.Index(s.targets, o)
	if i < 0 {
		return
	}
	s.targets = slices.Delete(s.targets, i, i+1)
	if len(s.targets) == 0 {
		delete(e.sessions, o.session)
		if s.done != nil {
			close(s.done)
		}
	}
}

// answered is told of a reply to a task, and says whether it is the first of its kind.
func (e *engine) answered(p *peer, m *meta) bool {
	s := e.sessions[m.session]
	if s == nil {
		return false
	}
	i := slices.IndexFunc(s.targets, func(o *outgoing) bool {
		return o.peer == p && o.message == m.re && (o.seq <= p.outbox.delivered || o.path != nil)
	})
	if i < 0 {
		return false
	}
	o := s.targets[i]
	if m.flags&flagReceipt != 0 {
		if !o.arrived {
			o.arrived = true
			e.flushSoon(p)
		}
		if m.flags&flagReceived != 0 {
			e.wasConsumed(o)
		}
		return true
	}
	if m.stage == TaskReceive {
		first := !o.acknowledged
		o.stage, o.acknowledged = TaskReceive, true
		return first
	}
	e.settle(o, TaskComplete)
	e.resolve(o)
	return true
}

// wasConsumed is told that the peer's application has received a request.
func (e *engine) wasConsumed(o *outgoing) {
	switch {
	case o.void:
		e.settle(o, o.stage)
	case o.relay:
		e.settle(o, o.stage)
	case o.sessionType == Task:
		o.stage = TaskReceive // kept until it is complete
	case o.sessionType == Notification:
		e.settle(o, NotificationReceive)
		e.resolve(o)
		e.receipt(o)
	default:
		e.settle(o, NoStage)
		e.resolve(o)
	}
}

// receipt tells who waits for a notification that it was received.
func (e *engine) receipt(o *outgoing) {
	m := &Message{
		Tag: o.tag, Source: o.peer.name(), SourceType: o.peer.rec.Type, Destination: e.self.Name,
		SessionID: o.session, MessageID: newID(), SessionType: Notification, Stage: NotificationReceive,
	}
	it := &item{message: m, session: o.session, peer: o.peer.name()}
	if !e.collected(it) {
		e.receipts.push(it)
	}
}

// fail ends a message with an error for whoever waits for its session, or receives.
func (e *engine) fail(o *outgoing, err error) {
	if o.queue == nil {
		return
	}
	e.giveUp(o)
	e.resolve(o)
	e.arrived(&item{err: err, session: o.session, peer: o.peer.name()})
}

// failAll fails all requests for a peer that is lost, and drops the answers to it.
func (e *engine) failAll(p *peer, cause error) {
	for _, q := range []*queue{&p.outbox.requests, &p.outbox.relayed, &p.outbox.answers} {
		for o := q.head; o != nil; {
			next := o.next
			switch {
			case o.relay: // the source will see to it
				e.giveUp(o)
			case o.void:
			case o.answer:
				e.late++
				e.giveUp(o)
			default:
				e.fail(o, e.lostError(p, o.sessionType.String(), cause))
			}
			o = next
		}
	}
	e.failWaiting(p, cause)
	e.roomFor(p)
}

// failWaiting ends the waits for replies to messages that a peer has received, which are settled
// when they are not tasks: its process is gone, and will not reply.
func (e *engine) failWaiting(p *peer, cause error) {
	for id, s := range e.slots {
		if o := e.sessions[id]; o != nil && slices.ContainsFunc(o.targets,
			func(o *outgoing) bool { return o.peer == p }) {
			continue
		}
		for s != nil {
			next := s.next
			if s.peer == p.name() && s.posted {
				e.fill(s, &item{err: e.lostError(p, "wait for a reply", cause)})
			}
			s = next
		}
	}
}

// state describes how far a message has come, for people.
func (o *outgoing) state() string {
	where := "waits to be sent"
	switch {
	case o.peer.lost != nil:
		where = "the peer is lost"
	case !o.peer.present:
		where = "the peer is away"
	case o.peer.out == nil:
		where = "there is no connection"
	case o.seq > 0 && o.consumed:
		where = "received"
	case o.seq > 0 && o.seq <= o.peer.outbox.delivered:
		where = "delivered, and not yet received by the application"
	case o.seq > 0:
		where = "sent"
	}
	return fmt.Sprintf("%s (%s)", o.peer.name(), where)
}

// cancel gives up all that is left of a session: late replies are dropped.
func (e *engine) cancel(id ID) {
	s := e.sessions[id]
	if s == nil {
		return
	}
	for _, o := range slices.Clone(s.targets) {
		e.giveUp(o)
		e.resolve(o)
	}
}
