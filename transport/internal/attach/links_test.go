//go:build linux || darwin

package attach

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// link is one that nothing goes through.
type link struct {
	transport.Link
	peer    int
	dropped bool
}

func (l *link) Peer() int { return l.peer }

// endpoint is one that a test opens, as rank 0 of 10.
type endpoint struct {
	turn  sync.Mutex
	links Links[*link]
	log   lines
	ended []*link // by Close
}

func open(t *testing.T) *endpoint {
	t.Helper()
	e := &endpoint{}
	c := transport.Config{Size: 10, Logger: e.log.logger()}
	if err := Complete(&c); err != nil {
		t.Fatal(err)
	}
	if err := e.links.Open(Endpoint[*link]{
		Driver: "test", Config: c, Turn: &e.turn, Remedy: func(error) string { return "try again" },
		Drop: func(l *link) error {
			e.turn.Lock() // it is free
			defer e.turn.Unlock()
			l.dropped = true
			return nil
		},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(); err != nil && !errors.Is(err, errWhy) {
			t.Error(err)
		}
	})
	return e
}

// errWhy is what tests have a Close return.
var errWhy = errors.New("why")

func (e *endpoint) close() error {
	return e.links.Close(func() error { return nil }, func(all []*link) error {
		e.ended = all
		return nil
	})
}

// look begins a Wait and ends it, and tells which links it looked at; nil when it returned at once.
func (e *endpoint) look() []*link {
	if !e.links.Hold() {
		return nil
	}
	defer e.turn.Unlock()
	return slices.Clone(e.links.Known())
}

// TestAcceptHandsLinksOver in the order in which they came, each ends a Wait, and from then on Wait
// looks at them.
func TestAcceptHandsLinksOver(t *testing.T) {
	e := open(t)
	if l := e.links.Accept(); l != nil {
		t.Fatalf("a link that nobody has opened: %v", l)
	}
	a, b := &link{peer: 1}, &link{peer: 2}
	for _, l := range []*link{a, b} {
		e.links.queue(l)
		if e.links.Hold() {
			t.Fatal("a Wait goes on while a link waits to be accepted")
		}
	}
	if got := e.look(); len(got) != 0 {
		t.Errorf("Wait looks at %v before Accept", got)
	}
	for _, want := range []*link{a, b} {
		if got := e.links.Accept(); got != transport.Link(want) {
			t.Errorf("accepted %v, want %v", got, want)
		}
	}
	if l := e.links.Accept(); l != nil {
		t.Errorf("accepted again: %v", l)
	}
	if got := PeersOf(e.look()); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("Wait looks at links with %v", got)
	}
	e.turn.Lock()
	e.links.Forget(a)
	e.links.Forget(a)
	e.turn.Unlock()
	if got := PeersOf(e.look()); !slices.Equal(got, []int{2}) {
		t.Errorf("Wait looks at links with %v after one is forgotten", got)
	}
}

// TestDialsNeedNoTurn: while another goroutine has it, a dial ends, and the next Wait sees its
// link.
func TestDialsNeedNoTurn(t *testing.T) {
	e := open(t)
	e.turn.Lock()
	ctx, leave, err := e.links.Enter(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	a, b := &link{peer: 3}, &link{peer: 4}
	for _, l := range []*link{a, b} {
		if err := e.links.Enlist(l); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	if ctx.Err() == nil {
		t.Error("the context of a dial outlives it")
	}
	e.links.Forget(a) // closed before any Wait
	e.turn.Unlock()
	if e.links.Hold() {
		t.Fatal("a Wait goes on without a look at a link that was dialled")
	}
	if got := PeersOf(e.look()); !slices.Equal(got, []int{4}) {
		t.Errorf("Wait looks at links with %v", got)
	}
}

func TestEnterRefuses(t *testing.T) {
	e := open(t)
	for _, peer := range []int{-1, 0, 10} {
		if _, _, err := e.links.Enter(t.Context(), peer); err == nil ||
			!strings.Contains(err.Error(), "rank 0 of 10 dials rank") {
			t.Errorf("to dial %d: %v", peer, err)
		}
	}
}

func TestDialErrors(t *testing.T) {
	e := open(t)
	for phase, cause := range map[string]error{
		"dial": context.Canceled, "hello": &transport.HelloError{Reason: transport.HelloJob},
	} {
		var got *transport.LinkError
		if err := e.links.DialError(3, "there", cause); !errors.As(err, &got) || got.Phase != phase ||
			got.Rank != 0 || got.Peer != 3 || got.Address != "there" || got.Remedy != "try again" ||
			!errors.Is(err, cause) {
			t.Errorf("%+v", got)
		}
	}
}

// TestCloseEndsDials, waits for them, and then gives all links to who ends them, under the turn.
func TestCloseEndsDials(t *testing.T) {
	e := open(t)
	known, unclaimed, fresh := &link{peer: 1}, &link{peer: 2}, &link{peer: 3}
	e.links.queue(known)
	if err := e.links.Enlist(fresh); err != nil {
		t.Fatal(err)
	}
	e.links.Accept()
	e.links.queue(unclaimed)
	ctx, leave, err := e.links.Enter(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	closed, late := make(chan error), &link{peer: 4}
	finish := func(all []*link) error {
		if e.turn.TryLock() {
			t.Error("the links are ended without the turn")
		}
		if !late.dropped {
			t.Error("the links are ended before a dial is")
		}
		e.ended = all
		return errWhy
	}
	go func() { closed <- e.links.Close(func() error { return nil }, finish) }()
	<-ctx.Done()
	if cause := context.Cause(ctx); cause != transport.ErrClosed {
		t.Errorf("the dial ends for %v", cause)
	}
	if err := e.links.Enlist(late); !errors.Is(err, transport.ErrClosed) || !late.dropped {
		t.Errorf("a link comes too late: %v", err)
	}
	if _, _, err := e.links.Enter(t.Context(), 5); err != transport.ErrClosed {
		t.Errorf("to dial too late: %v", err)
	}
	e.links.queue(&link{peer: 6}) // the end of a handshake that had gone too far
	leave()
	if err := <-closed; !errors.Is(err, errWhy) {
		t.Errorf("Close: %v", err)
	}
	peers := PeersOf(e.ended)
	if slices.Sort(peers); !slices.Equal(peers, []int{1, 2, 3, 6}) {
		t.Errorf("links with %v are ended", peers)
	}
	// What is left says that it is over.
	if e.links.Hold() || e.links.Accept() != nil || e.links.Context().Err() == nil {
		t.Error("it goes on")
	}
	e.links.Wakeup.Ring()
}

// TestCloseOnce: a second Close waits for the first and returns the same.
func TestCloseOnce(t *testing.T) {
	e := &endpoint{}
	if err := e.links.Open(Endpoint[*link]{Turn: &e.turn}); err != nil {
		t.Fatal(err)
	}
	stops := 0
	stop := func() error {
		stops++
		return errWhy
	}
	for range 2 {
		if err := e.links.Close(stop, func([]*link) error { return nil }); !errors.Is(err, errWhy) {
			t.Errorf("Close: %v", err)
		}
	}
	if stops != 1 {
		t.Errorf("it is stopped %d times", stops)
	}
}

// TestNothingIsAllocated by what every pass over the links calls.
func TestNothingIsAllocated(t *testing.T) {
	e := open(t)
	if err := e.links.Enlist(&link{peer: 1}); err != nil {
		t.Fatal(err)
	}
	e.look()
	if n := testing.AllocsPerRun(100, func() {
		if e.links.Accept() != nil {
			t.Error("a link that nobody has opened")
		}
		if !e.links.Hold() {
			t.Error("there is nothing to see")
		}
		for range e.links.Known() {
			e.links.Wakeup.Resume(unix.PollFd{})
		}
		e.turn.Unlock()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
