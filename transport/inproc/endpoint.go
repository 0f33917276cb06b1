package inproc

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// Endpoint is a rank's attachment to a Network; see transport.Endpoint.
type Endpoint struct {
	network    *Network
	place      place
	size       int
	secret     []byte
	maxPayload int
	number     uint64
	addresses  []byte
	log        *slog.Logger
	closed     atomic.Bool
	ended      chan struct{} // closed by Close

	pending atomic.Bool   // something has happened since the last Wait
	news    atomic.Int32  // lanes with something that the receiver has not asked for
	parked  atomic.Bool   // Wait blocks, or is about to
	token   chan struct{} // ends a parked Wait
	showing atomic.Int32  // links whose Peek shows another's memory

	waiting sync.Mutex  // held by Wait
	timer   *time.Timer // of Wait, made at first use

	mu     sync.Mutex
	links  []*Link
	queue  []*Link // not accepted yet
	queued atomic.Int32
}

func newEndpoint(n *Network, c transport.Config) *Endpoint {
	e := &Endpoint{
		network: n, place: place{c.Job, c.Rank}, size: c.Size, secret: slices.Clone(c.Secret),
		maxPayload: c.MaxPayload, number: endpointNumbers.Add(1), log: attach.Logger(c.Logger),
		ended: make(chan struct{}), token: make(chan struct{}, 1),
	}
	if e.maxPayload <= 0 {
		e.maxPayload = transport.DefaultMaxPayload
	}
	e.addresses = e.address()
	return e
}

// Addresses returns what names this endpoint on its Network.
func (e *Endpoint) Addresses() []byte { return slices.Clone(e.addresses) }

// Dial opens a link to another rank of the job. It takes as long as a question and its answer take
// under the conditions, and waits while one of the directions is silent.
func (e *Endpoint) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	if err := e.travel(ctx, peer); err != nil {
		return nil, e.dialError(peer, err)
	}
	l, err := e.network.connect(e, peer, addresses)
	if err != nil {
		return nil, e.dialError(peer, err)
	}
	e.log.Info("dialled", "driver", "inproc", "rank", e.place.rank, "peer", peer)
	return l, nil
}

func (e *Endpoint) dialError(peer int, err error) error {
	return &transport.LinkError{
		Phase: "dial", Rank: e.place.rank, Peer: peer,
		Address: fmt.Sprintf("inproc:%s/%d", e.place.job, peer), Err: err, Remedy: remedy(err),
	}
}

// travel waits as long as the way there and back takes.
func (e *Endpoint) travel(ctx context.Context, peer int) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if e.closed.Load() {
			return transport.ErrClosed
		}
		rtt, fault, changed := e.network.weather(e.place.rank, peer)
		var arrived <-chan time.Time
		switch {
		case fault == Broken:
			return ErrCut
		case fault == Healthy && rtt == 0:
			return nil
		case fault == Healthy:
			timer := time.NewTimer(rtt)
			defer timer.Stop()
			arrived = timer.C
		}
		select {
		case <-arrived:
			return nil
		case <-changed:
		case <-e.ended:
		case <-ctx.Done():
		}
	}
}

// adopt adds a link; one that the peer has dialled is yet to be accepted.
func (e *Endpoint) adopt(l *Link, dialled bool) bool {
	e.mu.Lock()
	if e.closed.Load() {
		e.mu.Unlock()
		return false
	}
	e.links = append(slices.Clip(e.links), l)
	if dialled {
		e.queue = append(e.queue, l)
		e.queued.Add(1)
	}
	e.mu.Unlock()
	if dialled {
		e.signal()
	}
	return true
}

// Accept returns a link that a peer has opened, or nil.
func (e *Endpoint) Accept() transport.Link {
	if e.queued.Load() == 0 || e.closed.Load() {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return nil
	}
	l := e.queue[0]
	e.queue = e.queue[1:]
	e.queued.Add(-1)
	return l
}

// signal makes the Wait under way, or the next one, return.
func (e *Endpoint) signal() {
	e.pending.Store(true)
	e.rouse()
}

// rouse ends a parked Wait, which looks again at pending and news.
func (e *Endpoint) rouse() {
	if e.parked.Load() {
		select {
		case e.token <- struct{}{}:
		default: // it has one already
		}
	}
}

// Wake ends the Wait under way, or the next one.
func (e *Endpoint) Wake() { e.signal() }

// due says that Wait has nothing to wait for.
func (e *Endpoint) due() bool {
	return e.pending.Swap(false) || e.news.Load() > 0 || e.closed.Load()
}

// Wait parks until there may be something to do. It ends what Peek of any link has shown, unless
// it returns at once.
func (e *Endpoint) Wait(deadline time.Time) {
	e.waiting.Lock()
	defer e.waiting.Unlock()
	if e.due() {
		return
	}
	e.lookAway()
	var timeout <-chan time.Time
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if left <= 0 {
			return
		}
		if e.timer == nil {
			e.timer = time.NewTimer(left)
		} else {
			e.timer.Reset(left)
		}
		defer e.timer.Stop()
		timeout = e.timer.C
	}
	e.parked.Store(true)
	defer e.parked.Store(false)
	for !e.due() {
		select {
		case <-e.token:
		case <-timeout:
			return
		}
	}
}

// lookAway ends what Peek of any link has shown, before a Wait that may take long.
// Another goroutine may have taken the turn, after a Wake, from one that has yet to enter its Wait:
// then what it looks at is left alone.
func (e *Endpoint) lookAway() {
	if e.showing.Load() == 0 {
		return
	}
	for _, l := range e.all() {
		l.in.hide(&e.pending)
	}
}

// all is the links at this moment; nobody changes the list itself.
func (e *Endpoint) all() []*Link {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.links
}

// Close closes all links and detaches the rank. Any goroutine may call it.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	if e.closed.Swap(true) {
		e.mu.Unlock()
		<-e.ended
		return nil
	}
	links := slices.Clone(e.links)
	e.queue = nil
	e.mu.Unlock()
	e.network.detach(e)
	for _, l := range links {
		l.shut()
	}
	close(e.ended)
	e.signal()
	return nil
}

// drop forgets a closed link.
func (e *Endpoint) drop(l *Link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.links = slices.DeleteFunc(slices.Clone(e.links), func(o *Link) bool { return o == l })
}
