package proxy

import (
	"context"
	"fmt"
)

// Reply answers m, which was received, with a new message of the same session. It completes a task,
// once. An empty tag keeps m's. The reply to a notification or a plain message asks for nothing: it
// is a further message of that session. Reply does not wait for the peer to receive it; until it has, body must not
// change.
func (p *Proxy) Reply(ctx context.Context, m *Message, tag string, body any) error {
	return p.reply(ctx, "Reply", m, tag, body, TaskComplete, 0)
}

// Acknowledge tells the sender of a task, once, that it is under way, before Reply completes it.
// The proxies themselves tell each other when a message is received; this is for a body. The sender
// gets it from Receive or ReceiveByID, as a message of stage TaskReceive; Send goes on to wait.
func (p *Proxy) Acknowledge(ctx context.Context, m *Message, tag string, body any) error {
	return p.reply(ctx, "Acknowledge", m, tag, body, TaskReceive, 0)
}

// ReplyError answers m with an error, which the sender gets as a *RemoteError in the place of a
// reply. It completes a task.
func (p *Proxy) ReplyError(ctx context.Context, m *Message, cause error) error {
	if cause == nil {
		return &ArgumentError{"ReplyError", "cause", "it is nil; use Reply"}
	}
	return p.reply(ctx, "ReplyError", m, "", cause.Error(), TaskComplete, flagFailure)
}

func (p *Proxy) reply(ctx context.Context, call string, m *Message, tag string, body any, to Stage,
	flags uint8,
) error {
	if m == nil || m.inbound == nil || m.inbound.proxy != p {
		return &ArgumentError{call, "message", "this proxy has not received it"}
	}
	if tag == "" {
		tag = m.Tag
	}
	if len(tag) > MaxTagBytes {
		return &ArgumentError{call, "tag", fmt.Sprintf("%d bytes, at most %d", len(tag), MaxTagBytes)}
	}
	encoded, err := p.encode(call, body)
	if err != nil {
		return err
	}
	d := newDraft(m.Source, encoded)
	d.content.memory = m.inbound.memory
	d.meta = meta{
		sessionType: m.SessionType, stage: to, flags: flagReply | flags, session: m.SessionID,
		message: newID(), re: m.MessageID, tag: tag,
	}
	switch {
	case m.SessionType == Notification:
		d.meta.stage = NotificationReceive
	case m.SessionType == Plain:
		d.meta.stage = NoStage
	}
	e := p.e
	e.enter()
	defer e.leave()
	in := m.inbound
	stage := in.stage
	if err := in.advance(m, to, call); err != nil {
		return err
	}
	if in.peer.rec.Incarnation != in.incarnation {
		e.late++ // who asked is gone, and with it the session
		return nil
	}
	if err := p.post(ctx, d); err != nil {
		in.stage = stage // nothing was sent
		return err
	}
	return nil
}

// advance moves the session of a received task along, if that is allowed.
func (in *inbound) advance(m *Message, to Stage, step string) error {
	if m.SessionType != Task {
		return nil
	}
	refuse := func(remedy string) error {
		return &StageError{
			Self: in.proxy.e.self.Name, Session: m.SessionID, Stage: in.stage, Step: step, Remedy: remedy,
		}
	}
	switch {
	case in.re != (ID{}):
		return refuse("the message is itself a reply")
	case to == TaskReceive && in.stage == TaskReceive:
		return refuse("a task is acknowledged once")
	case in.stage == TaskComplete:
		return refuse("a task is completed once")
	}
	in.stage = to
	return nil
}

// Session is a handle on a session that this component has opened.
type Session struct {
	p    *Proxy
	s    *session
	id   ID
	done <-chan struct{}
}

// Session returns a handle on a session that is not settled yet, nil when there is none of that id.
func (p *Proxy) Session(id ID) *Session {
	e := p.e
	e.enter()
	defer e.leave()
	s := e.sessions[id]
	if s == nil {
		return nil
	}
	if s.done == nil {
		s.done = make(chan struct{})
	}
	return &Session{p, s, id, s.done}
}

// ID is the session's.
func (s *Session) ID() ID { return s.id }

// Done is closed when all peers have settled the session, or it was given up: from then on the
// bodies that were sent are the caller's again.
func (s *Session) Done() <-chan struct{} { return s.done }

// Cancel gives the session up: what has not been sent is not, and late replies are dropped. Peers
// that work on it are not told.
func (s *Session) Cancel() {
	e := s.p.e
	e.enter()
	defer e.leave()
	if e.sessions[s.id] == s.s {
		e.cancel(s.id)
	}
}

// Stages tells how far each peer is that has not settled the session, by name.
func (s *Session) Stages() map[string]Stage {
	e := s.p.e
	e.enter()
	defer e.leave()
	stages := map[string]Stage{}
	for _, o := range s.s.targets {
		stages[o.peer.name()] = o.stage
	}
	return stages
}
