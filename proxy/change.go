package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// watcher waits for a condition on peers and connections.
type watcher struct {
	waiter
	met func() bool
}

// apply is told by the roster what has changed in the group.
func (e *engine) apply(changes []change) {
	e.enter()
	defer e.leave()
	if e.closed {
		return
	}
	e.clock = time.Now()
	for _, c := range changes {
		switch {
		case c.kind == superseded:
			e.supersede(c.record)
		case c.kind == left:
			e.away(e.peers[c.record.Name], &c.record, errLeft)
		case c.kind == lapsed:
			e.away(e.peers[c.record.Name], &c.record, errLapsed)
		default:
			e.here(c.record)
		}
	}
	e.tick()
	e.changed()
}

// supersede ends this component, because another process has taken its name while this one was
// stopped or cut off from the store for longer than a lease.
func (e *engine) supersede(by record) {
	if e.superseded != nil {
		return
	}
	e.superseded = &SupersededError{
		Group: e.proxy.c.group, Name: e.self.Name, Self: e.self.claimant(), Successor: by.claimant(),
		Lease: e.proxy.c.lease,
	}
	e.log.Error("superseded", "error", e.superseded)
	for _, p := range e.peers {
		e.failAll(p, e.superseded)
	}
	for len(e.receivers) > 0 { // who comes later is told by receive
		e.arrived(&item{err: e.superseded})
	}
	e.changed()
}

// related says whether a component and this one are peers: one of them expects the other's type.
func (e *engine) related(r *record) bool {
	_, wanted := e.expect[r.Type]
	return wanted || slices.Contains(r.Expects, e.self.Type)
}

var errRejoins = errors.New("it has come back more often than it may")

// here takes a component into use that has joined, come back, or been replaced.
//
// A name is never forgotten again. No time is long enough after which an incarnation that has
// lapsed can't return: nothing ends a process that was stopped or cut off, and when it goes on it
// takes its lease back, and its stream goes on with the next number. Only it itself could set the
// bound, by ending instead of returning. One that has said goodbye won't return, but its name may
// be started again, which Rejoin.Max counts.
func (e *engine) here(r record) {
	p := e.peers[r.Name]
	switch {
	case p == nil:
		p = &peer{}
		e.peers[r.Name] = p
	case p.rec.Incarnation != r.Incarnation:
		if !e.comesBack(p) {
			return
		}
	}
	fresh := p.rec.Incarnation != r.Incarnation
	p.rec, p.present, p.lost, p.left, p.refused = r, true, nil, false, false
	p.related = e.related(&r)
	e.byIncarnation[r.Incarnation] = p
	if fresh {
		p.dialer = dialer{since: e.now()}
	}
	e.bindStrangers()
	e.flushSoon(p)
	e.roomFor(p)
}

// comesBack ends everything with a peer's last incarnation, and says whether it may have another
// one.
func (e *engine) comesBack(p *peer) bool {
	p.rejoins++
	for _, l := range slices.Clone(p.links) {
		e.broken(l, errReplaced)
	}
	e.relayGone(p)
	delete(e.byIncarnation, p.rec.Incarnation)
	p.inflow = inflow{}
	switch {
	case e.rejoin == nil:
		e.failAll(p, errReplaced)
		p.outbox = outbox{}
	case e.rejoin.Max > 0 && p.rejoins > e.rejoin.Max:
		p.present, p.lost, p.cause, p.refused = false, errRejoins, errRejoins, false
		e.failAll(p, errRejoins)
		return false
	}
	e.failWaiting(p, errReplaced)
	for o := p.outbox.answers.head; o != nil; o = o.next {
		e.unstage(o)
	}
	again, dropped := p.outbox.restart()
	e.resent += uint64(again)
	e.late += uint64(dropped)
	e.log.Info("peer has come back", "peer", p.name(), "times", p.rejoins, "sent again", again)
	return true
}

// away notes that a peer is not there any more.
func (e *engine) away(p *peer, r *record, cause error) {
	if p == nil || p.rec.Incarnation != r.Incarnation || p.lost != nil {
		return
	}
	if p.present {
		p.present, p.away = false, e.now()
		e.log.Info("peer is away", "peer", p.name(), "cause", cause)
	}
	p.cause, p.refused = cause, errors.Is(cause, errRefused)
	if e.rejoin == nil {
		p.lost = cause
		e.failAll(p, cause)
	}
	e.relayGone(p)
	e.changed()
}

// lostError describes the loss of a peer.
func (e *engine) lostError(p *peer, phase string, cause error) error {
	remedy := "start it again under a name of its own, or let peers rejoin (WithRejoin)"
	if e.rejoin != nil {
		remedy = fmt.Sprintf("it was waited for for %v (WithRejoin)", e.rejoin.Timeout)
	}
	return &PeerLostError{
		Self: e.self.Name, Peer: p.name(), Type: p.rec.Type, Address: p.where(), Phase: phase,
		Since: p.away, Err: cause, Remedy: remedy,
	}
}

// changed makes those who wait for peers or connections look again.
func (e *engine) changed() {
	e.publish()
	e.watchers = slices.DeleteFunc(e.watchers, func(w *watcher) bool {
		if w.met() {
			e.finish(&w.waiter, nil)
			return true
		}
		return false
	})
}

// until waits until a condition on peers and connections is met. The turn is held, and given up
// meanwhile.
func (e *engine) until(ctx context.Context, met func() bool) error {
	if met() {
		return nil
	}
	w := &watcher{met: met}
	e.watchers = append(e.watchers, w)
	err := e.wait(ctx, &w.waiter)
	if err != nil {
		e.watchers = slices.DeleteFunc(e.watchers, func(x *watcher) bool { return x == w })
	}
	return err
}

// ofType returns the peers of a type that are there, by name.
func (e *engine) ofType(kind string) []*peer {
	var list []*peer
	for _, q := range e.peers {
		if q.present && q.related && q.rec.Type == kind {
			list = append(list, q)
		}
	}
	slices.SortFunc(list, func(a, b *peer) int {
		if a.rec.Name < b.rec.Name {
			return -1
		}
		return 1
	})
	return list
}

// quorum waits until there are as many peers of a type as the application needs.
func (e *engine) quorum(ctx context.Context, kind string) error {
	if e.rejoin == nil || e.rejoin.Minimal[kind] == 0 {
		return nil
	}
	need := e.rejoin.Minimal[kind]
	met := func() bool { return len(e.ofType(kind)) >= need || e.superseded != nil }
	if met() {
		return nil
	}
	started := time.Now()
	bounded, cancel := context.WithTimeoutCause(ctx, e.rejoin.Timeout, errTooFew)
	defer cancel()
	err := e.until(bounded, met)
	switch {
	case e.superseded != nil:
		return e.superseded
	case err == nil:
		return nil
	case errors.Is(err, errTooFew):
		return &MinimalPeersError{
			Self: e.self.Name, Type: kind, Have: len(e.ofType(kind)), Need: need,
			Waited:      time.Since(started),
			LastOutcome: e.lastLoss(kind), Remedy: "start more of them, or ask for fewer (WithRejoin)",
		}
	}
	return &WaitError{
		Self: e.self.Name, Phase: "minimal peers", Waited: time.Since(started), Err: err,
		Waiting: []string{fmt.Sprintf("%d of %d %s", len(e.ofType(kind)), need, kind)},
	}
}

var errTooFew = errors.New("too few peers")

// lastLoss is why the last peer of a type that is away is.
func (e *engine) lastLoss(kind string) error {
	var last *peer
	for _, q := range e.peers {
		if q.rec.Type == kind && !q.present && (last == nil || q.away.After(last.away)) {
			last = q
		}
	}
	if last == nil {
		return errors.New("none of them was ever there")
	}
	return e.lostError(last, "minimal peers", last.cause)
}

// destination finds the peer that a message is for. What opens a session waits for enough peers.
func (e *engine) destination(ctx context.Context, name string, opens bool) (*peer, error) {
	if e.closing {
		return nil, ErrClosed
	}
	if err := e.superseded; err != nil {
		return nil, err
	}
	p := e.peers[name]
	if p == nil || !p.related && p.present {
		return nil, &UnknownPeerError{Self: e.self.Name, Destination: name, Known: e.names()}
	}
	if opens {
		if err := e.quorum(ctx, p.rec.Type); err != nil {
			return nil, err
		}
	}
	if p.lost != nil {
		return nil, e.lostError(p, "send", p.lost)
	}
	return p, nil
}

// admit waits, by the policy, until one more message can be kept for a peer.
func (e *engine) admit(ctx context.Context, p *peer, o *outgoing) error {
	started := time.Now()
	for !e.room(p) {
		if p.lost != nil {
			return e.lostError(p, "send", p.lost)
		}
		if !p.present && e.rejoin.Policy != CacheBlock {
			full := e.full(p, o)
			if e.rejoin.Policy == CacheFail {
				return full
			}
			oldest := p.outbox.requests.head
			for oldest.void { // one that is given up is kept for its number alone
				oldest = oldest.next
			}
			full.Message = oldest.message
			e.fail(oldest, full)
			continue
		}
		w := &waiter{}
		p.rooms = append(p.rooms, w)
		err := e.wait(ctx, w)
		if e.superseded != nil {
			return e.superseded
		}
		if err != nil {
			p.rooms = slices.DeleteFunc(p.rooms, func(x *waiter) bool { return x == w })
			return &WaitError{
				Self: e.self.Name, Phase: "room in the outbox", Waiting: []string{p.name()},
				Waited: time.Since(started), Err: err, Remedy: "the peer takes messages too slowly",
			}
		}
	}
	if p.lost != nil {
		return e.lostError(p, "send", p.lost)
	}
	return nil
}

func (e *engine) full(p *peer, o *outgoing) *BackpressureError {
	q := &p.outbox.requests
	return &BackpressureError{
		Self: e.self.Name, Peer: p.name(), Messages: q.kept(), Bytes: q.bytes, Policy: e.rejoin.Policy,
		Message: o.message, Remedy: "wait for the peer to come back, or raise the bounds (WithRejoin)",
	}
}
