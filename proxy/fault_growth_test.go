package proxy_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
)

// usage is what the process holds after a collection.
type usage struct {
	heap       uint64
	goroutines int
}

func measure() usage {
	runtime.GC()
	runtime.GC() // what pools have let go of in the first is free after the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{m.HeapAlloc, runtime.NumGoroutine()}
}

// sessions sends tasks and notifications to a worker, in every way there is, many at once. Half of
// the notifications are never asked for, as an application may.
func sessions(ctx context.Context, t *testing.T, master *proxy.Proxy, n int) {
	const atOnce = 8
	var group sync.WaitGroup
	for slot := range atOnce {
		group.Go(func() {
			body := make([]float32, 64)
			for i := range n / atOnce {
				var err error
				switch i % 4 {
				case 0:
					_, err = master.Send(ctx, proxy.NewSessionMessage("t", "worker.1", body, proxy.Task))
				case 1:
					var id proxy.ID
					id, err = master.ISend(ctx, proxy.NewSessionMessage("t", "worker.1", body, proxy.Task))
					if err == nil {
						_, err = master.ReceiveByID(ctx, id)
					}
				case 2:
					_, err = master.Send(ctx, proxy.NewSessionMessage("n", "worker.1", body, proxy.Notification))
				case 3:
					_, err = master.ISend(ctx, proxy.NewSessionMessage("n", "worker.1", nil, proxy.Notification))
				}
				if err != nil {
					t.Errorf("session %d of sender %d: %v", i, slot, err)
					return
				}
			}
		})
	}
	group.Wait()
	catchUp(ctx, t, master) // what comes before the end of this task has been received by then
}

// catchUp waits until the worker has answered everything.
func catchUp(ctx context.Context, t *testing.T, master *proxy.Proxy) {
	t.Helper()
	m := proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task)
	if _, err := master.Send(ctx, m); err != nil {
		t.Fatal(err)
	}
}

// giveUp opens sessions and gives them up at once, in every way there is: by a context, by Cancel.
// The replies come too late.
func giveUp(ctx context.Context, t *testing.T, master *proxy.Proxy, n int) {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	body := make([]float32, 64)
	for i := range n {
		kind := []proxy.SessionType{proxy.Task, proxy.Notification}[i/2%2]
		m := proxy.NewSessionMessage("given up", "worker.1", body, kind)
		if i%2 == 0 {
			_, err := master.Send(ended, m)
			var wait *proxy.WaitError
			if err != nil && !errors.As(err, &wait) {
				t.Fatal(err)
			}
		} else {
			id, err := master.ISend(ctx, m)
			if err != nil {
				t.Fatal(err)
			}
			if session := master.Session(id); session != nil {
				session.Cancel()
			}
			// A reply that was quicker waits to be received; nobody wants it any more.
			if _, err := master.ReceiveByID(ended, id); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		if i%64 == 0 {
			catchUp(ctx, t, master)
		}
	}
	catchUp(ctx, t, master)
}

// TestSessionsLeaveNothing runs many sessions, an hour's worth of a program that has twenty a
// second: memory and goroutines do not grow with them.
func TestSessionsLeaveNothing(t *testing.T) {
	settled, given := 60_000, 20_000
	if testing.Short() {
		settled, given = 6_000, 2_000
	}
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(1), driver)
		ctx := faulty(t)
		serving, stop := context.WithCancel(ctx)
		served := make(chan struct{})
		go func() {
			defer close(served)
			answer(serving, t, all["worker.1"])
		}()
		sessions(ctx, t, all["master"], 17_000) // fills what is remembered of notifications
		growth(ctx, t, all, settled, sessions)
		for name, p := range all {
			if s := p.Stats(); s.Late != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		giveUp(ctx, t, all["master"], 1000)
		growth(ctx, t, all, given, giveUp)
		stop()
		<-served
	})
}

// growth checks what is left of n sessions.
func growth(ctx context.Context, t *testing.T, all map[string]*proxy.Proxy, n int,
	run func(context.Context, *testing.T, *proxy.Proxy, int),
) {
	t.Helper()
	before := measure()
	run(ctx, t, all["master"], n)
	after := measure()
	t.Logf("%d sessions: %+v before, %+v after", n, before, after)
	if after.heap > before.heap+before.heap/4+256<<10 {
		t.Errorf("the heap has grown from %d to %d bytes", before.heap, after.heap)
	}
	if after.goroutines > before.goroutines+8 { // connections of the store come and go
		t.Errorf("there are %d goroutines, there were %d", after.goroutines, before.goroutines)
	}
	for name, p := range all {
		s := p.Stats()
		for peer, kept := range s.Outbox {
			if kept > 64 { // of the last ones the acknowledgement may not have come yet
				t.Errorf("%s keeps %d messages for %s", name, kept, peer)
			}
		}
		if s.Sessions != 0 || s.Inbox != 0 || s.Duplicates != 0 || s.Resent != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// answer replies to every task, until the context ends.
func answer(ctx context.Context, t *testing.T, p *proxy.Proxy) {
	for m, err := range p.Receive(ctx) {
		if err == nil && m.SessionType == proxy.Task {
			err = p.Reply(ctx, m, "", m.Body)
		}
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
	}
}
