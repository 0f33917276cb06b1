package proxy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// ReceiveOnce returns the next message, of any peer and session, in the order of arrival. It blocks
// until there is one. To take a message is to acknowledge it: a task's session is now at
// TaskReceive, a notification's at NotificationReceive.
//
// An error that is no message but came in the place of one, a *PeerLostError, a *RemoteError or the
// *BodyError of a body that does not decode, is told once and ends nothing; who sent such a body as a
// task gets the error as its reply. A *WaitError says that ctx ended first.
func (p *Proxy) ReceiveOnce(ctx context.Context) (*Message, error) {
	return p.receive(ctx, &receiver{})
}

// ReceiveUntilChange is ReceiveOnce, but returns neither message nor error as soon as Revision is
// another one than revision: for who waits for messages of all peers, and has to look again when
// one of them is lost.
func (p *Proxy) ReceiveUntilChange(ctx context.Context, revision uint64) (*Message, error) {
	return p.receive(ctx, &receiver{watching: true, revision: revision})
}

func (p *Proxy) receive(ctx context.Context, r *receiver) (*Message, error) {
	e := p.e
	e.enter()
	if r.watching && e.members.Load().revision != r.revision {
		e.leave()
		return nil, nil
	}
	r.item = e.first()
	if r.item == nil && e.superseded != nil {
		e.leave()
		return nil, e.superseded
	}
	if r.item == nil {
		started := time.Now()
		e.receivers = append(e.receivers, r)
		held, err := e.await(ctx, &r.waiter)
		if !held {
			return r.open(p)
		}
		if err != nil {
			e.receivers = slices.DeleteFunc(e.receivers, func(x *receiver) bool { return x == r })
			e.leave()
			return nil, &WaitError{
				Self: e.self.Name, Phase: "receive", Waited: time.Since(started), Err: err,
			}
		}
	}
	e.tookOne()
	e.leave()
	return r.open(p)
}

// open returns what was received: nothing, when the membership has changed.
func (r *receiver) open(p *Proxy) (*Message, error) {
	if r.item == nil {
		return nil, nil
	}
	return r.item.open(p)
}

// Receive returns the messages that come, as ReceiveOnce does, until ctx ends, the proxy is closed
// or its name is taken over (*SupersededError); that error is the last thing that it yields. Others
// are yielded in the place of a message, and it goes on.
func (p *Proxy) Receive(ctx context.Context) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			m, err := p.ReceiveOnce(ctx)
			if !yield(m, err) || err != nil && endsReceive(err) {
				return
			}
		}
	}
}

func endsReceive(err error) bool {
	var ended *WaitError
	var superseded *SupersededError
	return errors.As(err, &ended) || errors.As(err, &superseded)
}

// ReceiveByID waits for one message of each session, and returns them in the order of ids. An id
// that stands there several times, as IBroadcast returns it, waits for so many. Where ctx ends
// before, or a peer is lost, the error is a *PartialError; the sessions that have not answered go
// on and can be asked for again. Messages of other sessions stay for Receive.
//
// That a notification was received is remembered for the latest 4096 of them that nobody has asked
// for. A plain message is settled when it is received: the loss of its peer does not end the wait for
// a reply to it, but ctx does.
func (p *Proxy) ReceiveByID(ctx context.Context, ids ...ID) ([]*Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	e := p.e
	c := newCollector(len(ids))
	for i, id := range ids {
		c.slots[i].session = id
	}
	started := time.Now()
	e.enter()
	e.listenAlso(c)
	held, err := e.await(ctx, &c.waiter)
	if !held {
		return p.collect(c, err)
	}
	if err != nil {
		e.forget(c)
		err = &WaitError{
			Self: e.self.Name, Phase: "receive by id", Waiting: e.unanswered(c), Waited: time.Since(started),
			Err: err,
		}
	}
	e.tookOne()
	e.leave()
	return p.collect(c, err)
}

// unanswered describes what a collector has not got.
func (e *engine) unanswered(c *collector) []string {
	var who []string
	for i := range c.slots {
		if c.slots[i].item != nil {
			continue
		}
		s := e.sessions[c.slots[i].session]
		if s == nil {
			who = append(who, fmt.Sprintf("session %s, which is not open", c.slots[i].session))
			continue
		}
		for _, o := range s.targets {
			who = append(who, o.state())
		}
	}
	return who
}
