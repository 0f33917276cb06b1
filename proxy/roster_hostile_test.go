package proxy

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestRosterHostileRecords puts what strangers might write beside genuine members.
func TestRosterHostileRecords(t *testing.T) {
	for _, secret := range []string{"", "s3cret"} {
		inBubble(t, func(t *testing.T) {
			w, log := newWorld(), new(testLog)
			learner := enter(t, w.client(), freshRecord("learner", "actor"),
				rosterOptions{secret: []byte(secret), logger: log.logger()})
			stranger := w.client()
			name := full().Name
			forged := full()
			lines := 0
			for what, value := range hostileRecords() {
				mustDo(t, stranger.Set(t.Context(), "group:"+name+":lease",
					forged.holder().encode(), 0))
				mustDo(t, stranger.HSet(t.Context(), "group:actor", name, []byte(value)))
				mustDo(t, stranger.HSet(t.Context(), "group:actor", "\xff a name", []byte(value)))
				mustDo(t, stranger.HSet(t.Context(), "group:actor", "learner", []byte(value)))
				mustDo(t, stranger.Notify(t.Context(), "group", ""))
				time.Sleep(time.Minute)
				learner.expect(t)
				if lines += 3; log.count("a record was ignored") != lines {
					t.Fatalf("%s: logged %d lines, want %d", what,
						log.count("a record was ignored"), lines)
				}
			}
			enter(t, w.client(), freshRecord("actor/a"), rosterOptions{secret: []byte(secret)})
			learner.expect(t, "joined actor/a")
		})
	}
}

// TestRosterManyHostileRecords bounds what is logged of many bad records at once.
func TestRosterManyHostileRecords(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, log := newWorld(), new(testLog)
		for i := range 1000 {
			mustDo(t, w.client().HSet(t.Context(), "group:actor", fmt.Sprint(i), []byte("x")))
		}
		enter(t, w.client(), freshRecord("learner", "actor"), rosterOptions{logger: log.logger()})
		time.Sleep(time.Minute)
		if n := log.count("a record was ignored"); n != maxRefusals {
			t.Errorf("%d lines", n)
		}
	})
}

// TestRosterOddLease puts something else in the place of a member's lease, and of self's.
func TestRosterOddLease(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		learner := enter(t, w.client(), freshRecord("learner", "actor"), rosterOptions{})
		actor := enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		learner.expect(t, "joined actor/actor")
		mustDo(t, w.client().Set(t.Context(), "group:actor:lease", make([]byte, 1<<20), time.Minute))
		time.Sleep(2 * time.Second)
		actor.expect(t, "superseded unknown/actor")
		says[*SupersededError](t, actor.superseded(), `has not published itself yet`)
		learner.expect(t) // who holds the name may be about to publish itself
		time.Sleep(2 * time.Minute)
		learner.expect(t, "lapsed actor/actor")
	})
}

// TestRosterGhosts meets what killed processes left, and removes it when it is safe.
func TestRosterGhosts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		for _, name := range []string{"a", "b", "c"} {
			dead(t, w, freshRecord("actor/"+name))
		}
		time.Sleep(time.Hour)
		learner := enter(t, w.client(), freshRecord("learner", "actor"), rosterOptions{})
		learner.expect(t)
		if n := len(w.hash("group:actor")); n != 3 {
			t.Fatalf("%d records after the first look", n)
		}
		enter(t, w.client(), freshRecord("actor/b"), rosterOptions{})
		learner.expect(t, "joined actor/b")
		if found, _ := learner.byName("b"); found.Generation != 2 {
			t.Errorf("b has generation %d", found.Generation)
		}
		time.Sleep(10 * time.Second)
		if n := len(w.hash("group:actor")); n != 1 {
			t.Errorf("%d records are left", n)
		}
		learner.expect(t)
	})
}

// TestRosterGhostReturns brings a process back while its record is being removed, at every step.
func TestRosterGhostReturns(t *testing.T) {
	for step := range 4 {
		inBubble(t, func(t *testing.T) {
			w := newWorld()
			store, away := w.client(), w.client()
			learner := enter(t, store, freshRecord("learner", "actor"), rosterOptions{})
			actor := enter(t, away, freshRecord("actor"), rosterOptions{})
			learner.expect(t, "joined actor/actor")
			away.cut(true)
			steps := -1 // counts from the second look at the ghost's lease
			w.hook(func(client *fakeStore, command, key string) {
				if client != store {
					return
				}
				if steps >= 0 || command == "get" && key == "group:actor:lease" {
					steps++
				}
				if steps == step {
					away.cut(false)
					// Not within the hook: the roster that is looking must go on.
					time.Sleep(time.Second)
					steps = 1 << 20
				}
			})
			time.Sleep(time.Minute)
			learner.expect(t, "lapsed actor/actor", "returned actor/actor")
			synctest.Wait()
			if w.hash("group:actor")["actor"] != string(actor.own) {
				t.Errorf("step %d: the store holds %q", step, w.hash("group:actor"))
			}
		})
	}
}
