package proxy

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// TestRosterMeets lets components enter, find each other at once and leave in order.
func TestRosterMeets(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, start := newWorld(), time.Now()
		learner := enter(t, w.client(), freshRecord("learner", "actor"), rosterOptions{})
		learner.expect(t)
		a := enter(t, w.client(), freshRecord("actor/a", "learner", "actor"), rosterOptions{})
		learner.expect(t, "joined actor/a")
		a.expect(t, "joined learner/learner")
		b := enter(t, w.client(), freshRecord("actor/b", "learner"), rosterOptions{})
		learner.expect(t, "joined actor/b")
		a.expect(t, "joined actor/b")
		b.expect(t, "joined learner/learner") // it does not expect its own type
		other := enter(t, w.client(), freshRecord("actor/c", "learner"), rosterOptions{group: "other"})
		if other.expect(t); learner.names() != "a b" || b.names() != "learner" {
			t.Errorf("the learner sees %q, b sees %q", learner.names(), b.names())
		}
		found, alive := learner.byName("b")
		again, aliveToo := learner.byIncarnation(b.self.Incarnation)
		if !alive || !aliveToo || !found.same(b.self) || !again.same(b.self) || found.Generation != 1 {
			t.Errorf("found %v %v, %v %v", found, alive, again, aliveToo)
		}
		mustDo(t, a.close(t.Context()))
		learner.expect(t, "left actor/a")
		if _, alive := learner.byName("a"); alive || w.hash("group:actor")["a"] != "" {
			t.Error("a is still there")
		}
		enter(t, w.client(), freshRecord("actor/a", "learner"), rosterOptions{})
		learner.expect(t, "joined actor/a")
		if found, _ := learner.byName("a"); found.Generation != 2 {
			t.Errorf("the second start has generation %d", found.Generation)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("all of this took %s, want no waiting", took)
		}
		time.Sleep(time.Minute) // leases are renewed
		learner.expect(t)
		mustDo(t, learner.close(t.Context()))
		mustDo(t, learner.close(t.Context()))
		says[*MembershipError](t, learner.refresh(t.Context()), "the roster is closed")
	})
}

// TestRosterWatchesMoreTypes adds a type later.
func TestRosterWatchesMoreTypes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		learner := enter(t, w.client(), freshRecord("learner"), rosterOptions{})
		learner.expect(t)
		learner.watchAlso("actor", "actor", "no:type")
		mustDo(t, learner.refresh(t.Context()))
		learner.expect(t, "joined actor/actor")
	})
}

// TestRosterRefreshFromDeliver calls the roster from within deliver.
func TestRosterRefreshFromDeliver(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		refreshed := make(chan error, 1)
		var r *roster
		var ready sync.WaitGroup
		ready.Add(1)
		r, err := openRoster(t.Context(), w.client(), freshRecord("learner"),
			rosterOptions{group: "group", types: []string{"actor"}}, func([]change) {
				ready.Wait()
				refreshed <- r.refresh(t.Context())
			})
		ready.Done()
		mustDo(t, err)
		enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		mustDo(t, <-refreshed)
		mustDo(t, r.close(t.Context()))
	})
}

// TestRosterCrash lets a member crash, and start again under its name.
func TestRosterCrash(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, lease := newWorld(), 3*time.Second
		learner := enter(t, w.client(), freshRecord("learner", "actor"), rosterOptions{})
		actor := enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		learner.expect(t, "joined actor/actor")
		actor.crash()
		time.Sleep(lease - lease/3 - 1)
		learner.expect(t)
		time.Sleep(lease/3 + lease/3 + 2)
		learner.expect(t, "lapsed actor/actor")

		crashed := actor.self
		actor = enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		learner.expect(t, "replaced actor/actor")
		c := learner.last()
		if !c.previous.same(crashed) || !c.record.same(actor.self) || c.record.Generation != 2 {
			t.Errorf("replaced %+v by %+v", c.previous, c.record)
		}

		// A crash whose successor waits for the lease is a replacement without a lapse, unless
		// somebody looks at the moment when the lease ends.
		actor.crash()
		time.Sleep(500 * time.Millisecond)
		mustDo(t, learner.refresh(t.Context()))
		actor = enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		learner.expect(t, "replaced actor/actor")
		if found, _ := learner.byName("actor"); !found.same(actor.self) || found.Generation != 3 {
			t.Errorf("the learner sees %+v", found)
		}
	})
}

// TestRosterPartition cuts a member off the store for longer than its lease.
func TestRosterPartition(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, log := newWorld(), new(testLog)
		learner := enter(t, w.client(), freshRecord("learner", "actor"), rosterOptions{})
		store := w.client()
		actor := enter(t, store, freshRecord("actor", "learner"), rosterOptions{logger: log.logger()})
		learner.expect(t, "joined actor/actor")
		actor.expect(t, "joined learner/learner")
		store.cut(true)
		time.Sleep(time.Minute + 100*time.Millisecond) // not when the learner looks by itself
		learner.expect(t, "lapsed actor/actor")
		actor.expect(t) // nobody is judged
		says[*MembershipError](t, actor.refresh(t.Context()), "read failed", "connection refused",
			"check that the store runs")
		if actor.names() != "learner" {
			t.Errorf("without the store, the actor sees %q", actor.names())
		}
		store.cut(false)
		mustDo(t, actor.refresh(t.Context()))
		learner.expect(t, "returned actor/actor") // at once
		time.Sleep(time.Minute)
		learner.expect(t)
		actor.expect(t)
		if lost, back := log.count("lost the store"), log.count("store is back"); lost != 1 || back != 1 {
			t.Errorf("logged %d times that the store is lost, %d times that it is back", lost, back)
		}
	})
}

// TestRosterShortOutage takes the store away from all for less than a lease.
func TestRosterShortOutage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		stores := []*fakeStore{w.client(), w.client()}
		a := enter(t, stores[0], freshRecord("actor/a", "actor"), rosterOptions{})
		b := enter(t, stores[1], freshRecord("actor/b", "actor"), rosterOptions{})
		a.expect(t, "joined actor/b")
		b.expect(t, "joined actor/a")
		for _, store := range stores {
			store.cut(true)
		}
		time.Sleep(2 * time.Second)
		for _, store := range stores {
			store.cut(false)
		}
		time.Sleep(time.Minute)
		a.expect(t)
		b.expect(t)
	})
}

// TestRosterUnevenOutage brings a member back to the store before another, whose lease has ended
// meanwhile: it waits for it.
func TestRosterUnevenOutage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		early, late := w.client(), w.client()
		a := enter(t, early, freshRecord("actor/a", "actor"), rosterOptions{})
		b := enter(t, late, freshRecord("actor/b", "actor"), rosterOptions{})
		a.expect(t, "joined actor/b")
		b.expect(t, "joined actor/a")
		late.cut(true)
		time.Sleep(1500 * time.Millisecond)
		early.cut(true)
		time.Sleep(2 * time.Second)
		early.cut(false)
		mustDo(t, a.refresh(t.Context()))
		a.expect(t)
		late.cut(false)
		time.Sleep(time.Minute)
		a.expect(t)
		b.expect(t)
	})
}

// TestRosterStoreComesBackEmpty restarts the store without its content. One member has died
// meanwhile, and is not believed to have left in order.
func TestRosterStoreComesBackEmpty(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		var stores []*fakeStore
		var all []*player
		for _, name := range []string{"a", "b", "c"} {
			stores = append(stores, w.client())
			all = append(all, enter(t, stores[len(stores)-1], freshRecord("actor/"+name, "actor"),
				rosterOptions{}))
		}
		for _, p := range all {
			synctest.Wait()
			p.take()
		}
		for _, store := range stores {
			store.cut(true)
		}
		w.flush()
		all[2].crash()
		time.Sleep(time.Hour)
		for _, store := range stores {
			store.cut(false)
		}
		time.Sleep(3 * time.Second) // the retry takes up to one second, and rests one lease
		all[0].expect(t)
		all[1].expect(t)
		time.Sleep(2 * time.Second)
		all[0].expect(t, "lapsed actor/c")
		all[1].expect(t, "lapsed actor/c")
		if len(w.hash("group:actor")) != 2 {
			t.Errorf("the store holds %q", w.hash("group:actor"))
		}
	})
}

// TestRosterFlush empties the store under a running group.
func TestRosterFlush(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		a := enter(t, w.client(), freshRecord("actor/a", "actor"), rosterOptions{})
		b := enter(t, w.client(), freshRecord("actor/b", "actor"), rosterOptions{})
		a.expect(t, "joined actor/b")
		b.expect(t, "joined actor/a")
		for range 20 {
			w.flush()
			time.Sleep(1300 * time.Millisecond)
			a.expect(t)
			b.expect(t)
			if len(w.hash("group:actor")) != 2 {
				t.Fatalf("not republished: %q", w.hash("group:actor"))
			}
		}
		time.Sleep(time.Minute)
		a.expect(t)
		b.expect(t)
	})
}

// TestRosterFlushBetweenReads empties the store at every step of a look.
func TestRosterFlushBetweenReads(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		store := w.client()
		a := enter(t, store, freshRecord("actor/a", "learner", "actor"), rosterOptions{})
		enter(t, w.client(), freshRecord("learner/l"), rosterOptions{})
		a.expect(t, "joined learner/l")
		enter(t, w.client(), freshRecord("actor/b"), rosterOptions{})
		a.expect(t, "joined actor/b")
		for step := range 12 {
			at := 0
			w.hook(func(client *fakeStore, _, _ string) {
				if client == store {
					if at == step {
						w.flush()
					}
					at++
				}
			})
			mustDo(t, a.refresh(t.Context()))
			time.Sleep(10 * time.Second)
			a.expect(t)
		}
	})
}

// TestRosterLeavesBetweenReads withdraws a member at every step of another's look: it has left,
// not lapsed, whatever was read before.
func TestRosterLeavesBetweenReads(t *testing.T) {
	for step := range 6 {
		inBubble(t, func(t *testing.T) {
			w := newWorld()
			store := w.client()
			a := enter(t, store, freshRecord("actor/a", "learner"), rosterOptions{})
			l := enter(t, w.client(), freshRecord("learner/l"), rosterOptions{})
			a.expect(t, "joined learner/l")
			at := 0
			w.hook(func(client *fakeStore, _, _ string) {
				if client == store {
					if at == step {
						mustDo(t, l.close(t.Context()))
					}
					at++
				}
			})
			mustDo(t, a.refresh(t.Context()))
			time.Sleep(2 * time.Second) // a look takes fewer steps than six
			a.expect(t, "left learner/l")
		})
	}
}

// TestRosterHalfWithdrawn looks between the steps of a withdrawal.
func TestRosterHalfWithdrawn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		a := enter(t, w.client(), freshRecord("actor", "learner"), rosterOptions{})
		store := w.client()
		l := enter(t, store, freshRecord("learner"), rosterOptions{})
		a.expect(t, "joined learner/learner")
		w.hook(func(client *fakeStore, command, _ string) {
			if client == store && command == "delete" {
				mustDo(t, a.refresh(t.Context()))
				a.expect(t)
			}
		})
		mustDo(t, l.close(t.Context()))
		a.expect(t, "left learner/learner")
	})
}

// TestRosterStoreClosed closes the store too early, and the roster after that.
func TestRosterStoreClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		store := w.client()
		r := enter(t, store, freshRecord("actor"), rosterOptions{})
		store.Close()
		err := r.close(t.Context())
		says[*MembershipError](t, err, `group "group"`, `component "actor"`, "store fake",
			"withdraw failed", "keep the store open")
		if !errors.Is(err, rendezvous.ErrClosed) {
			t.Error(err)
		}
		_, err = open(t.Context(), store, freshRecord("actor/b"), rosterOptions{})
		says[*MembershipError](t, err, "claim failed", "keep the store open")
	})
}

// TestRosterStoreMissing enters while the store is away: until it is back, or ctx ends.
func TestRosterStoreMissing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, log := newWorld(), new(testLog)
		store := w.client()
		store.cut(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := open(ctx, store, freshRecord("actor"), rosterOptions{logger: log.logger()})
		says[*MembershipError](t, err, "claim failed after 1m0s", "connection refused",
			"check that the store runs")
		if !errors.Is(err, context.DeadlineExceeded) || log.count("does not answer") != 1 {
			t.Errorf("%v; %q", err, log.lines)
		}
		go func() {
			time.Sleep(time.Minute)
			store.cut(false)
		}()
		enter(t, store, freshRecord("actor"), rosterOptions{})
	})
}
