package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/proxy"
)

// stopLease is the lease of workers that are stopped for longer.
const stopLease = 300 * time.Millisecond

var stopLeases = [2]time.Duration{stopLease, stopLease}

// stoppable is the script of the i-th worker, which waits for a master that is itself late.
func stoppable(store string, i int, lease time.Duration) script {
	s := worker(store, i, lease, 1)
	s.Rejoin = true
	return s
}

// until waits until a condition on the peers of p holds. No message may come meanwhile.
func until(ctx context.Context, p *proxy.Proxy, holds func() bool) error {
	for {
		revision := p.Revision()
		if holds() {
			return nil
		}
		m, err := p.ReceiveUntilChange(ctx, revision)
		if err != nil || m != nil {
			return fmt.Errorf("waiting for a change of the membership, got %v: %w", m, err)
		}
	}
}

// pair starts a master in this process and two workers in processes of their own, with leases.
func pair(t *testing.T, leases [2]time.Duration, options ...proxy.Option,
) (store string, master *proxy.Proxy, workers []*process) {
	t.Helper()
	store = embeddedStore(t)
	for i, lease := range leases {
		workers = append(workers, start(t, stoppable(store, i, lease)))
	}
	options = append(options, proxy.WithLease(stopLease)) // it looks for changes so often
	parts := []part{{"master", "master", map[string]int{"worker": len(workers)}}}
	master = join(t, store, parts, options...)["master"]
	for _, w := range workers {
		w.read("joined")
	}
	return store, master, workers
}

// TestStoppedWorkerComesBack stops a worker for longer than its lease: with WithRejoin, nothing is
// lost, and nothing is sent to it again, for it is the same process that goes on.
func TestStoppedWorkerComesBack(t *testing.T) {
	ctx := faulty(t)
	_, master, workers := pair(t, stopLeases, proxy.WithRejoin(proxy.Rejoin{}))
	stopped := workers[0]
	there := func() bool { return master.Has(stopped.name) }
	job := loaded(ctx, t, master, workers)
	duration := 5 * time.Second
	if testing.Short() {
		duration = 0
	}
	for range 2 {
		job.take(100)
		stopped.stop()
		job.during(func() error {
			time.Sleep(duration) // so long it is stopped, at least
			return until(ctx, master, func() bool { return !there() })
		})
		job.take(100)
		stopped.goOn()
		job.during(func() error { return until(ctx, master, there) })
		job.takeFrom(stopped.name, 20)
		duration = 0
	}
	job.end()
	if s := master.Stats(); s.Resent != 0 || s.Duplicates != 0 || s.Late != 0 {
		t.Errorf("it is the same process, yet: %+v", s)
	}
	for _, w := range workers {
		w.finish()
	}
}

// TestStoppedWorkerIsLost stops a worker for longer than its lease: without WithRejoin, who waits
// for it is told. When it goes on it is there again, and its late reply is dropped.
func TestStoppedWorkerIsLost(t *testing.T) {
	ctx := faulty(t)
	// On a busy machine, no worker is to lapse that is not stopped.
	_, master, workers := pair(t, [2]time.Duration{5 * stopLease, time.Minute})
	stopped := workers[0]
	stopped.stop()
	task := func(w *process) *proxy.Message {
		return proxy.NewSessionMessage("work", w.name, []int64{0}, proxy.Task)
	}
	_, err := master.Send(ctx, task(stopped))
	var lost *proxy.PeerLostError
	if !errors.As(err, &lost) || lost.Peer != stopped.name || lost.Type != "worker" ||
		lost.Phase != "task" {
		t.Fatalf("got the error %v", err)
	}
	if _, err := master.ISend(ctx, task(stopped)); !errors.As(err, &lost) || lost.Phase != "send" {
		t.Errorf("got the error %v", err)
	}
	if _, err := master.Send(ctx, task(workers[1])); err != nil {
		t.Error(err)
	}
	stopped.goOn()
	if err := until(ctx, master, func() bool { return master.Has(stopped.name) }); err != nil {
		t.Fatal(err)
	}
	if _, err := master.Send(ctx, task(stopped)); err != nil {
		t.Error(err)
	}
	if s := master.Stats(); s.Late != 1 || s.Sessions != 0 || s.Inbox != 0 {
		t.Errorf("one reply was late, yet: %+v", s)
	}
	for _, w := range workers {
		w.finish()
	}
}

// TestSupersededWorker stops a worker, of which another process takes the name. The tasks go there,
// and the one that was stopped is told when it goes on.
func TestSupersededWorker(t *testing.T) {
	ctx := faulty(t)
	store, master, workers := pair(t, stopLeases, proxy.WithRejoin(proxy.Rejoin{}))
	old := workers[0]
	job := loaded(ctx, t, master, workers)
	job.take(100)
	old.stop()
	successor := start(t, stoppable(store, 0, stopLease))
	job.during(func() error {
		_, err := successor.expect("joined")
		return err
	})
	job.takeFrom(successor.name, 20)
	old.goOn()
	job.during(func() error {
		r, err := old.expect("superseded")
		if err == nil && r.Text != old.name {
			err = fmt.Errorf("the error names %q", r.Text)
		}
		return err
	})
	old.mustEnd()
	job.takeFrom(successor.name, 20)
	job.end()
	if s := master.Stats(); s.Resent == 0 {
		t.Errorf("nothing was sent again: %+v", s)
	}
	successor.finish()
	workers[1].finish()
}
