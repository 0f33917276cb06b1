//go:build linux || darwin

package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// Link is a driver's type of links.
type Link interface {
	comparable
	transport.Link
}

// Endpoint is what Links has to know of the endpoint.
type Endpoint[L Link] struct {
	Driver string           // begins the lines of the log
	Config transport.Config // after Complete
	// Turn stands for the turn of the goroutine that calls the methods of the endpoint and its
	// links.
	Turn *sync.Mutex
	// Remedy says what a person can do about an error, "" when nothing is known.
	Remedy func(error) string
	// Drop closes a link that was dialled too late for anybody to have. The turn is not held.
	Drop func(L) error
	// GiveWay is after what time a connection that has not said hello gives its place to one that
	// waits; 0 stands for HandshakeTime.
	GiveWay time.Duration
}

// Links are the links of an endpoint: those that Wait looks at, those that peers have opened and
// Accept has not returned yet, and those that a dial has and Wait has not seen yet.
type Links[L Link] struct {
	of     Endpoint[L]
	known  []L               // under the turn
	Wakeup *transport.Wakeup // of Wait

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	group    sync.WaitGroup // those who accept and dial
	places   places
	refusals refusals
	closed   sync.Once
	err      error // of Close

	mu       sync.Mutex // guards what those who accept and dial share with who has the turn
	closing  atomic.Bool
	accepted []L
	waiting  atomic.Int32 // len(accepted)
	dialled  []L          // that Wait has not seen yet: who dials must not need the turn
}

// Open makes Links ready for use. The error is the system's, as when the process has too many open
// files; after it there is nothing to close.
func (s *Links[L]) Open(of Endpoint[L]) (err error) {
	if of.GiveWay == 0 {
		of.GiveWay = HandshakeTime
	}
	s.of, s.places.giveWay, s.refusals.log = of, of.GiveWay, of.Config.Logger
	if s.Wakeup, err = transport.NewWakeup(); err != nil {
		return err
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return nil
}

// Context ends with Close.
func (s *Links[L]) Context() context.Context { return s.ctx }

// Accept returns a link that a peer has opened, nil when there is none. It takes the turn.
func (s *Links[L]) Accept() transport.Link {
	if s.waiting.Load() == 0 {
		return nil
	}
	s.of.Turn.Lock()
	defer s.of.Turn.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.accepted) == 0 {
		return nil
	}
	l := s.accepted[0]
	s.accepted = slices.Delete(s.accepted, 0, 1)
	s.waiting.Store(int32(len(s.accepted)))
	s.known = append(s.known, l)
	return l
}

// queue hands a link over to Accept. Close waits for who calls it, so it ends the link if nobody has it.
func (s *Links[L]) queue(l L) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = append(s.accepted, l)
	s.waiting.Store(int32(len(s.accepted)))
	s.Wakeup.Ring()
}

// Enter begins a dial to a peer, for which Close waits until it calls leave. The context ends with
// ctx, and with the endpoint: then its cause is transport.ErrClosed.
func (s *Links[L]) Enter(
	ctx context.Context, peer int,
) (_ context.Context, leave func(), err error) {
	if c := &s.of.Config; peer < 0 || peer >= c.Size || peer == c.Rank {
		return nil, nil, fmt.Errorf("rank %d of %d dials rank %d", c.Rank, c.Size, peer)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return nil, nil, transport.ErrClosed
	}
	s.group.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.ctx, func() { cancel(transport.ErrClosed) })
	return ctx, func() {
		unhook()
		cancel(nil)
		s.group.Done()
	}, nil
}

// Enlist ends a dial: from now on Wait looks at the link. When the endpoint is closing it drops the
// link, and the error is transport.ErrClosed.
func (s *Links[L]) Enlist(l L) error {
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		return errors.Join(transport.ErrClosed, s.of.Drop(l))
	}
	defer s.mu.Unlock()
	s.dialled = append(s.dialled, l)
	s.Wakeup.Ring()
	return nil
}

// DialError is the error of a dial that has said no more than hello.
func (s *Links[L]) DialError(peer int, address string, err error) error {
	failure := transport.HelloLinkError(s.of.Config.Rank, address, err)
	failure.Peer, failure.Remedy = peer, s.of.Remedy(err)
	var hello *transport.HelloError
	if !errors.As(err, &hello) {
		failure.Phase = "dial"
	}
	return failure
}

// Hold begins a Wait: it takes the turn, until what ends the Wait gives it back. False, without the
// turn, says that Wait is to return at once. Close rings before it asks for the turn.
func (s *Links[L]) Hold() bool {
	s.of.Turn.Lock()
	if s.closing.Load() || s.Wakeup.Rung() {
		s.of.Turn.Unlock()
		return false
	}
	s.enlisted()
	return true
}

// Known are the links to look at. The turn is held.
func (s *Links[L]) Known() []L { return s.known }

// enlisted moves the links that were dialled to the others. The turn is held.
func (s *Links[L]) enlisted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = append(s.known, s.dialled...)
	s.dialled = nil
}

// Forget takes a closed link from those to look at. The turn is held.
func (s *Links[L]) Forget(l L) {
	s.enlisted()
	if i := slices.Index(s.known, l); i >= 0 {
		s.known = slices.Delete(s.known, i, i+1)
	}
}

// Close ends all goroutines and dials, and then has last end all links, with what they need; last
// has the turn. Before that stop ends what Serve takes connections from. A second call waits for
// the first and returns the same.
func (s *Links[L]) Close(stop func() error, last func(all []L) error) error {
	s.closed.Do(func() { s.err = s.close(stop, last) })
	return s.err
}

func (s *Links[L]) close(stop func() error, last func(all []L) error) error {
	s.mu.Lock()
	s.closing.Store(true) // from here on nobody dials
	s.mu.Unlock()
	s.cancel() // ends handshakes and dials
	s.Wakeup.Ring()
	err := stop()
	s.group.Wait()
	s.of.Turn.Lock()
	defer s.of.Turn.Unlock()
	s.enlisted()
	s.mu.Lock()
	all := slices.Concat(s.accepted, s.known)
	s.accepted = nil
	s.waiting.Store(0)
	s.mu.Unlock()
	return errors.Join(err, last(all), s.Wakeup.Close())
}

// PeersOf lists the ranks at the other ends.
func PeersOf[L Link](links []L) (ranks []int) {
	for _, l := range links {
		ranks = append(ranks, l.Peer())
	}
	return ranks
}
