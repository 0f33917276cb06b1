package proxy

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// watchedEndpoint counts how often somebody looks at it, and tells when it is waited for first.
type watchedEndpoint struct {
	fakeEndpoint
	looks  int // of who has the turn
	once   sync.Once
	waited func()
}

func (e *watchedEndpoint) Accept() transport.Link {
	e.looks++
	return nil
}

func (e *watchedEndpoint) Wait(deadline time.Time) {
	e.once.Do(e.waited)
	e.fakeEndpoint.Wait(deadline)
}

// TestJoinParksAtOnce: a component that starts leaves its core to those that it waits for.
func TestJoinParksAtOnce(t *testing.T) {
	ep := &watchedEndpoint{fakeEndpoint: fakeEndpoint{wake: make(chan struct{}, 1)}}
	p := isolated(t, ep, component("master", "master", 1), map[string]int{"worker": 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	stop, looks := errors.New("waited"), 0
	ep.waited = func() {
		looks = ep.looks
		cancel(stop) // which wakes who waits
	}
	p.e.enter()
	err := p.e.assemble(ctx)
	joined := p.e.assembled
	p.e.leave()
	if !errors.Is(err, stop) || looks > 2 {
		t.Errorf("it looked %d times before it parked: %v", looks, err)
	}
	if !joined {
		t.Error("it would go on like that")
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
