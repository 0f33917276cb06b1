package proxy

import (
	"context"
	"slices"
	"time"
)

// Parcel is one destination of a Scatter, and what it gets.
type Parcel struct {
	Destination string // the name of a component
	Body        any
}

// Send sends m and waits for what the peer answers: the reply to a task or to a plain message; for
// a notification, a message without a body that says that it was received. Acknowledgements of a
// task (Acknowledge) meanwhile are for Receive. The errors are *UnknownPeerError, *PeerLostError,
// *RemoteError, *BodyError, and *WaitError when ctx ended first. When Send returns, m's body is the
// caller's again, and a reply that comes later is dropped.
func (p *Proxy) Send(ctx context.Context, m *Message) (*Message, error) {
	d, err := p.draft("Send", m)
	if err != nil {
		return nil, err
	}
	replies, err := p.exchange(ctx, "send", []*draft{d})
	if partial, ok := err.(*PartialError); ok {
		err = partial.Failures[0].Err
	}
	return replies[0], err
}

// ISend sends m and returns at once, with the id of the session. It blocks only where as much is
// kept for the peer as may be. Replies are read by Receive, ReceiveOnce or ReceiveByID. m's body
// must not change until the session is settled.
func (p *Proxy) ISend(ctx context.Context, m *Message) (ID, error) {
	d, err := p.draft("ISend", m)
	if err != nil {
		return ID{}, err
	}
	if err := p.dispatch(ctx, []*draft{d}); err != nil {
		return ID{}, err
	}
	return d.meta.session, nil
}

// Scatter sends each parcel in a session of its own and waits for all replies, as Send does for
// one. The i-th reply is to the i-th parcel. Where some are missing, because they could not be sent
// or were not answered, the error is a *PartialError that says why of each, and their replies are
// nil.
func (p *Proxy) Scatter(ctx context.Context, tag string, t SessionType, parcels []Parcel,
) ([]*Message, error) {
	drafts, err := p.scatter("Scatter", tag, t, parcels)
	if err != nil {
		return nil, err
	}
	return p.exchange(ctx, "scatter", drafts)
}

// IScatter sends each parcel in a session of its own and returns their ids, in order, at once.
// Where it can't send one it gives up the others too.
func (p *Proxy) IScatter(ctx context.Context, tag string, t SessionType, parcels []Parcel,
) ([]ID, error) {
	drafts, err := p.scatter("IScatter", tag, t, parcels)
	if err != nil {
		return nil, err
	}
	ids := make([]ID, len(drafts))
	for i, d := range drafts {
		ids[i] = d.meta.session
	}
	if err := p.dispatch(ctx, drafts); err != nil {
		return nil, err
	}
	return ids, nil
}

// Broadcast sends one body to all peers of a type that are there and waits for all replies, in the
// order of the peers' names. The body is encoded once. Missing replies are nil, and the error is a
// *PartialError; where there is no peer of the type it is an *UnknownPeerError.
func (p *Proxy) Broadcast(ctx context.Context, kind, tag string, t SessionType, body any,
) ([]*Message, error) {
	drafts, err := p.broadcast(ctx, "Broadcast", kind, tag, t, body)
	if err != nil {
		return nil, err
	}
	return p.exchange(ctx, "broadcast", drafts)
}

// IBroadcast sends one body to all peers of a type and returns at once the id of the session, once
// for each of them, as ReceiveByID needs it to wait for all.
func (p *Proxy) IBroadcast(ctx context.Context, kind, tag string, t SessionType, body any,
) ([]ID, error) {
	drafts, err := p.broadcast(ctx, "IBroadcast", kind, tag, t, body)
	if err != nil {
		return nil, err
	}
	if err := p.dispatch(ctx, drafts); err != nil {
		return nil, err
	}
	return slices.Repeat([]ID{drafts[0].meta.session}, len(drafts)), nil
}

// Forward sends a message that was received on to another peer, in the same session, with this
// component as its source; the reply to it comes back here. An empty tag keeps the message's, and a
// nil body too. What was received stays to be replied to.
func (p *Proxy) Forward(ctx context.Context, m *Message, destination, tag string, body any,
) (ID, error) {
	f := *m
	f.inbound = nil
	f.Destination, f.Source, f.SourceType = destination, "", ""
	f.Stage = f.SessionType.request()
	if tag != "" {
		f.Tag = tag
	}
	if body != nil {
		f.Body = body
	}
	d, err := p.draft("Forward", &f)
	if err != nil {
		return ID{}, err
	}
	if m.inbound != nil {
		d.content.memory = m.inbound.memory
	}
	if err := p.dispatch(ctx, []*draft{d}); err != nil {
		return ID{}, err
	}
	return d.meta.session, nil
}

// dispatch posts all drafts, or none.
func (p *Proxy) dispatch(ctx context.Context, drafts []*draft) error {
	e := p.e
	e.enter()
	defer e.leave()
	if err := p.postAll(ctx, drafts); err != nil {
		return err
	}
	return nil
}

// exchange posts all drafts and waits for their replies.
func (p *Proxy) exchange(ctx context.Context, phase string, drafts []*draft) ([]*Message, error) {
	e := p.e
	c := newCollector(len(drafts))
	c.final = true
	for i, d := range drafts {
		c.slots[i].session, c.slots[i].peer = d.meta.session, d.destination
	}
	started := time.Now()
	e.enter()
	e.listen(c)
	for i, d := range drafts {
		if err := p.post(ctx, d); err != nil {
			e.leaveStage(&d.body.staged)
			e.fill(&c.slots[i], &item{err: err})
		} else {
			c.slots[i].posted = true
		}
	}
	held, err := e.await(ctx, &c.waiter)
	if !held {
		if drafts[0].meta.sessionType == Task { // settled by its reply
			return p.collect(c, err)
		}
		e.enter()
	}
	if err != nil {
		e.forget(c)
		err = &WaitError{
			Self: e.self.Name, Phase: phase, Waiting: waiting(drafts, c), Waited: time.Since(started),
			Err: err,
		}
	}
	for _, d := range drafts {
		if d.posted != nil && d.posted.queue != nil {
			e.giveUp(d.posted)
			e.resolve(d.posted)
		}
	}
	e.leave()
	return p.collect(c, err)
}

// waiting describes the targets that have not answered.
func waiting(drafts []*draft, c *collector) []string {
	var who []string
	for i, d := range drafts {
		if c.slots[i].item == nil && d.posted != nil {
			who = append(who, d.posted.state())
		}
	}
	return who
}

// collect decodes what a collector got. missing is the error of slots that got nothing.
func (p *Proxy) collect(c *collector, missing error) ([]*Message, error) {
	replies := make([]*Message, len(c.slots))
	var failures []Failure
	for i := range c.slots {
		s := &c.slots[i]
		err := missing
		if s.item != nil {
			replies[i], err = s.item.open(p)
		}
		if err != nil {
			failures = append(failures, Failure{Index: i, Peer: s.peer, Err: err})
		}
	}
	if failures != nil {
		return replies, &PartialError{Self: p.e.self.Name, Of: len(c.slots), Failures: failures}
	}
	return replies, nil
}

// postAll posts drafts in order; where one can't be, it gives those before it up. The turn is held,
// and is given up while there is something to wait for.
func (p *Proxy) postAll(ctx context.Context, drafts []*draft) error {
	e := p.e
	for i, d := range drafts {
		err := p.post(ctx, d)
		if err == nil {
			continue
		}
		for _, rest := range drafts[i:] {
			e.leaveStage(&rest.body.staged)
		}
		for _, posted := range drafts[:i] {
			e.giveUp(posted.posted)
			e.resolve(posted.posted)
		}
		return err
	}
	return nil
}

// post puts a draft into its peer's outbox, when there is room.
func (p *Proxy) post(ctx context.Context, d *draft) error {
	e := p.e
	q, err := e.destination(ctx, d.destination, d.meta.flags&flagReply == 0)
	if err != nil {
		return err
	}
	compress := e.compresses(q, d.body)
	if compress && !d.body.tried {
		remote := e.remote(q)
		e.leave()
		d.body.algorithm, d.body.compressed = p.compressor.compress(e.compression, remote, d.body.data)
		d.body.tried = true
		e.enter()
	}
	data := d.body.data
	if compress && d.body.algorithm != compressedNot {
		d.meta.compression, d.meta.rawBytes = d.body.algorithm, uint64(len(data))
		data = d.body.compressed
	}
	d.meta.kind, d.meta.bodyBytes = d.body.kind, uint64(len(data))
	o := &d.out
	*o = outgoing{
		peer: q, body: data, largest: int64(max(len(data), len(d.body.data))),
		sessionType: d.meta.sessionType, stage: d.meta.stage, session: d.meta.session,
		message: d.meta.message, tag: d.meta.tag, answer: d.meta.answer(), path: d.path,
		staged: &d.body.staged,
	}
	o.meta = d.meta.append(o.space[:0])
	if !o.answer {
		if err := e.admit(ctx, q, o); err != nil {
			return err
		}
	}
	if q.tooLarge(o) {
		return q.largeError(o)
	}
	if !o.answer {
		e.open(o)
	}
	if d.body.memory.has(data) {
		o.memory = d.body.memory
		o.memory.hold()
	}
	d.posted = o
	if o.path == nil {
		e.post(q, o)
		return nil
	}
	o.posted = e.now()
	q.outbox.relayed.push(o) // the first of its path has it by now
	if slices.ContainsFunc(o.path, func(r *peer) bool { return !r.present }) {
		q.outbox.direct(o)
		e.flushSoon(q)
		e.flush(q)
	}
	return nil
}

// compresses says whether it may be worth it to compress a body for a peer.
func (e *engine) compresses(q *peer, b *content) bool {
	return e.compression != CompressOff && len(b.data) >= minCompressed &&
		(e.compression != CompressAuto || e.remote(q))
}

// remote says whether a peer runs on another host.
func (e *engine) remote(q *peer) bool { return q.rec.HostID != e.self.HostID }
