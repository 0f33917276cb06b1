package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/rendezvous"
)

// These tests end the list in defect_test.go.

func TestDefect24KeptForNextStart(t *testing.T) {
	store := embeddedStore(t)
	rejoin := proxy.WithRejoin(proxy.Rejoin{})
	all := join(t, store, []part{{"master", "master", map[string]int{"worker": 0}}}, rejoin)
	expects := []part{{"worker", "worker.1", map[string]int{"master": 1}}}
	first := join(t, store, expects)
	// What was delivered and not received is not lost with the process either.
	var ids []proxy.ID
	for i := range 3 {
		m := proxy.NewSessionMessage("t", "worker.1", int64Body(i), proxy.Task)
		id, err := all["master"].ISend(soon(t), m)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if _, err := first["worker.1"].ReceiveOnce(soon(t)); err != nil { // it works on the first
		t.Fatal(err)
	}
	if err := first["worker.1"].Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	again := join(t, store, expects)
	for i := range 3 {
		m, err := again["worker.1"].ReceiveOnce(soon(t))
		if err != nil || m.Body.([]int64)[0] != int64(i) {
			t.Fatal(i, m, err)
		}
		if err := again["worker.1"].Reply(soon(t), m, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := all["master"].ReceiveByID(soon(t), ids...); err != nil {
		t.Error(err)
	}
}

func int64Body(i int) []int64 { return []int64{int64(i)} }

// The store is needed to join. Without it everything goes on, sending as fast as ever.
func TestDefect26StoreIsGone(t *testing.T) {
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var all [2]*proxy.Proxy
	var group sync.WaitGroup
	for i, kind := range []string{"master", "worker"} {
		group.Go(func() {
			other := []string{"worker", "master"}[i]
			p, err := proxy.Join(soon(t), "group", kind, map[string]int{other: 1},
				proxy.WithStore(store.URL()), proxy.WithSecret(""), proxy.WithName(kind),
				proxy.WithLease(200*time.Millisecond), proxy.WithRejoin(proxy.Rejoin{}))
			if err != nil {
				t.Error(err)
			}
			all[i] = p
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(soon(t))
	group.Go(func() { serve(serving, t, all[1]) })
	for i := range 1000 {
		send(t, all[0], "worker", fmt.Sprint(i))
	}
	stop()
	group.Wait()
	for _, p := range all {
		err := p.Close(soon(t))
		var member *proxy.MembershipError
		if err != nil && !errors.As(err, &member) {
			t.Error(err)
		}
	}
}

func TestDefect29DuplicateName(t *testing.T) {
	store := embeddedStore(t)
	all := join(t, store, masterAndWorkers(1))
	echoes(t, all)
	ctx, cancel := context.WithTimeout(soon(t), 2*time.Second)
	defer cancel()
	_, err := proxy.Join(ctx, "group", "worker", nil, proxy.WithStore(store), proxy.WithSecret(""),
		proxy.WithName("worker.1"))
	var double *proxy.DuplicateNameError
	if !errors.As(err, &double) || double.Name != "worker.1" || double.Holder.PID == 0 {
		t.Error(err)
	}
	send(t, all["master"], "worker.1", "well")
}

// Close ends with its context, whatever is queued for a peer that takes nothing.
func TestDefect30CloseIsBounded(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(1), driver, proxy.WithWindow(1))
		for range 10 {
			m := proxy.NewMessage("t", "worker.1", make([]byte, 1<<20))
			if _, err := all["master"].ISend(soon(t), m); err != nil {
				t.Fatal(err)
			}
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := all["master"].ReceiveOnce(soon(t))
			waiting <- err
		}()
		err := all["master"].Close(gone())
		var left *proxy.UndeliveredError
		if !errors.As(err, &left) || left.Messages["worker.1"] < 9 {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, proxy.ErrClosed) {
			t.Error(err)
		}
		if err := all["master"].Close(soon(t)); err != nil {
			t.Error(err)
		}
		_, err = all["master"].ISend(soon(t), proxy.NewMessage("t", "worker.1", nil))
		if !errors.Is(err, proxy.ErrClosed) {
			t.Error(err)
		}
	})
}

// Two proxies of one process have nothing in common.
func TestDefect30TwoInOneProcess(t *testing.T) {
	one, two := join(t, embeddedStore(t), masterAndWorkers(1)), join(t, embeddedStore(t), masterAndWorkers(1))
	echoes(t, two)
	for _, p := range one {
		if err := p.Close(soon(t)); err != nil {
			t.Error(err)
		}
	}
	send(t, two["master"], "worker.1", "well")
}
