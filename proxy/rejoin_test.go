package proxy_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
)

// actors answers every message; to "stop" it answers, and is done.
func actor(ctx context.Context, t *testing.T, p *proxy.Proxy) {
	for m, err := range p.Receive(ctx) {
		if err == nil {
			err = p.Reply(ctx, m, "", "successful receive!")
		}
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		}
		if m.Tag == "stop" {
			if err := p.Close(ctx); err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// TestMARORejoin is tests/communication/test_rejoin.py, without its sleeps: an actor that leaves
// and comes back under its name gets what was sent to it meanwhile.
func TestMARORejoin(t *testing.T) {
	store := embeddedStore(t)
	rejoin := proxy.WithRejoin(proxy.Rejoin{Minimal: map[string]int{"actor": 1}})
	parts := []part{{"master", "master", map[string]int{"actor": 3}}}
	for _, name := range []string{"actor.1", "actor.2", "actor.3"} {
		parts = append(parts, part{"actor", name, map[string]int{"master": 1}})
	}
	optionOf := func(p part) []proxy.Option {
		if p.kind == "master" {
			return []proxy.Option{rejoin}
		}
		return nil
	}
	all := joinWith(t, store, parts, optionOf)
	master := all["master"]
	ctx := soon(t)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan string, 4)
	start := func(p *proxy.Proxy) {
		go func() {
			actor(serving, t, p)
			done <- p.Name()
		}()
	}
	for _, name := range []string{"actor.1", "actor.2", "actor.3"} {
		start(all[name])
	}
	parcels := []proxy.Parcel{
		{Destination: "actor.1"}, {Destination: "actor.2"}, {Destination: "actor.3"},
	}
	replies, err := master.Scatter(ctx, "cont", proxy.Task, parcels)
	if err != nil || len(replies) != 3 {
		t.Fatal(replies, err)
	}

	if _, err := master.Send(ctx, proxy.NewSessionMessage("stop", "actor.2", nil, proxy.Task)); err != nil {
		t.Fatal(err)
	}
	if name := <-done; name != "actor.2" {
		t.Fatal(name, "has ended")
	}
	ids, err := master.IScatter(ctx, "cont", proxy.Task, parcels)
	if err != nil {
		t.Fatal(err)
	}
	replies, err = master.ReceiveByID(ctx, ids[0], ids[2])
	if err != nil || len(replies) != 2 {
		t.Fatal(replies, err)
	}
	if s := master.Stats(); s.Outbox["actor.2"] != 1 {
		t.Errorf("%d messages are kept for the actor that is away", s.Outbox["actor.2"])
	}

	again := joinWith(t, store, []part{{"actor", "actor.2", map[string]int{"master": 1}}}, optionOf)
	start(again["actor.2"])
	more, err := master.IScatter(ctx, "cont", proxy.Task, parcels)
	if err != nil {
		t.Fatal(err)
	}
	replies, err = master.ReceiveByID(ctx, append(more, ids[1])...)
	if err != nil || len(replies) != 4 {
		t.Fatal(replies, err)
	}
	for _, r := range replies {
		if r.Body != "successful receive!" {
			t.Error(r, r.Body)
		}
	}
	stop()
	for range 3 {
		<-done
	}
}

// TestPeerLossEndsTheWait shows that who waits for a peer that leaves is told, and by whom.
func TestPeerLossEndsTheWait(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(2), driver)
		ctx := soon(t)
		left := make(chan error, 1)
		go func() {
			_, err := all["worker.2"].ReceiveOnce(ctx)
			left <- errors.Join(err, all["worker.2"].Close(ctx))
		}()
		echoing, stop := context.WithCancel(ctx)
		served := make(chan struct{})
		go func() {
			defer close(served)
			serve(echoing, t, all["worker.1"])
		}()
		replies, err := all["master"].Broadcast(ctx, "worker", "work", proxy.Task, "body")
		stop()
		<-served
		var partial *proxy.PartialError
		var lost *proxy.PeerLostError
		if !errors.As(err, &partial) || len(partial.Failures) != 1 || !errors.As(err, &lost) {
			t.Fatalf("error %v", err)
		}
		if lost.Peer != "worker.2" || lost.Type != "worker" || replies[0] == nil || replies[1] != nil {
			t.Errorf("%v, replies %v", lost, replies)
		}
		if err := <-left; err != nil {
			t.Error(err)
		}
		// What is sent to it now fails at once.
		_, err = all["master"].ISend(ctx, proxy.NewMessage("more", "worker.2", nil))
		if !errors.As(err, &lost) {
			t.Errorf("error %v", err)
		}
	})
}
