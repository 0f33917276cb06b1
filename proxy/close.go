package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// drainTime is how long Close waits where its context has no deadline.
const drainTime = 5 * time.Second

// Close leaves the group. Where ctx has no deadline it takes five seconds at most. It first waits
// until the peers that are there have what was sent to them; what they do not get in time is an
// *UndeliveredError. Tasks that are not complete, and what is kept for peers that are away, are
// given up. Calls under way return ErrClosed. Closing again waits for the end of the first.
func (p *Proxy) Close(ctx context.Context) error {
	e := p.e
	if e == nil { // it has not come so far
		return p.closeStore()
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, drainTime)
		defer cancel()
	}
	e.enter()
	if e.closing { // by somebody else, who reports
		e.leave()
		select {
		case <-e.gone:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	e.closing = true
	defer close(e.gone)
	var errs []error
	if err := e.until(ctx, func() bool { return e.undelivered() == nil }); err != nil {
		errs = append(errs, &UndeliveredError{Self: e.self.Name, Messages: e.undelivered(), Err: err})
	}
	e.end()
	r := e.roster
	e.leave()
	if r != nil {
		errs = append(errs, r.close(ctx))
	}
	errs = append(errs, e.release(), p.closeStore())
	return errors.Join(errs...)
}

// release ends the goroutines and the endpoint of an engine that has ended.
func (e *engine) release() error {
	e.background.Wait()
	return e.ep.Close()
}

func (p *Proxy) closeStore() error {
	var errs []error
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.server != nil {
		errs = append(errs, p.server.Close())
	}
	return errors.Join(errs...)
}

// undelivered counts the messages that peers who are there are not known to have, nil when there
// are none.
func (e *engine) undelivered() map[string]int {
	var left map[string]int
	for _, p := range e.peers {
		if !p.present {
			continue
		}
		n := 0
		for _, q := range []*queue{&p.outbox.answers, &p.outbox.requests, &p.outbox.relayed} {
			for o := q.head; o != nil; o = o.next {
				if !o.void && (o.seq == 0 || o.seq > p.outbox.delivered) {
					n++
				}
			}
		}
		if n > 0 {
			if left == nil {
				left = map[string]int{}
			}
			left[p.name()] = n
		}
	}
	return left
}

// end says goodbye and ends all waits. The turn is held.
func (e *engine) end() {
	for _, p := range e.peers {
		if p.out == nil {
			continue
		}
		if err := e.control(p.out, transport.Goodbye, 0, nil, nil); err != nil {
			e.log.Debug("no goodbye", "peer", p.name(), "error", err)
		}
	}
	for _, p := range e.peers {
		if p.out != nil {
			e.reclaim(p.out) // what was sent is the senders' again
		}
	}
	e.closed = true
	for _, s := range e.sessions {
		if s.done != nil {
			close(s.done)
		}
	}
	e.sessions = map[ID]*session{}
	for _, w := range e.followers {
		w.notify()
	}
	if e.unwatch != nil {
		e.unwatch()
	}
	e.doze.Stop()
	e.stop()
	e.ep.Wake()
}

// Stats are counts since the component has joined.
type Stats struct {
	SentMessages, ReceivedMessages uint64
	SentBytes, ReceivedBytes       uint64
	// Resent counts messages sent again to a new incarnation of a peer, Duplicates those that came a
	// second time and were dropped, Late replies that were dropped: here, of sessions that had ended,
	// and those for a requester that died before it was known to have them.
	Resent, Duplicates, Late uint64
	// Inbox is how many messages wait to be received.
	Inbox int
	// Sessions is how many sessions are open, Outbox how many messages are kept for each peer.
	Sessions int
	Outbox   map[string]int
}

// Stats returns the counts.
func (p *Proxy) Stats() Stats {
	e := p.e
	e.enter()
	defer e.leave()
	s := Stats{
		SentMessages: e.sentMessages, ReceivedMessages: e.receivedMessages,
		SentBytes: e.sentBytes, ReceivedBytes: e.receivedBytes,
		Resent: e.resent, Duplicates: e.duplicates, Late: e.late,
		Inbox: e.length, Sessions: len(e.sessions), Outbox: map[string]int{},
	}
	for _, q := range e.peers {
		s.Outbox[q.name()] = q.outbox.requests.kept() + q.outbox.relayed.kept() + q.outbox.answers.kept()
	}
	return s
}
