package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// noProcess is higher than any process id can be.
const noProcess = 1 << 30

// dead leaves in the store what a process leaves that was killed.
func dead(t *testing.T, w *world, r record) record {
	t.Helper()
	p := enter(t, w.client(), r, rosterOptions{})
	p.crash()
	return p.self
}

// TestRosterDuplicate starts a second process under a name that is in use.
func TestRosterDuplicate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, log := newWorld(), new(testLog)
		first := enter(t, w.client(), freshRecord("actor/name"), rosterOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		second := freshRecord("learner/name") // names are of the group, whatever the type
		_, err := open(ctx, w.client(), second, rosterOptions{logger: log.logger()})
		e := says[*DuplicateNameError](t, err, `group "group"`, `name "name"`, "within 1m0s",
			fmt.Sprintf(`pid %d on host "host" (type "actor", instance %s`, first.self.PID,
				first.self.Instance),
			fmt.Sprintf(`pid %d on host "host" (type "learner", instance %s`, second.PID,
				second.Instance), "give each component its own name")
		if !errors.Is(err, context.DeadlineExceeded) || e.Holder.Since != first.self.Started {
			t.Errorf("%+v", e)
		}
		if n := log.count("waiting for the name"); n != 1 {
			t.Errorf("logged %d times that it waits", n)
		}
		if found := w.hash("group:learner"); len(found) != 0 {
			t.Errorf("the second has published %q", found)
		}
	})
}

// TestRosterWaitsForTheName takes a name over as soon as its holder withdraws.
func TestRosterWaitsForTheName(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		first := enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		done := make(chan error, 1)
		go func() {
			second, err := open(t.Context(), w.client(), freshRecord("actor"), rosterOptions{})
			if err == nil {
				defer second.close(t.Context())
			}
			done <- err
		}()
		time.Sleep(time.Minute)
		start := time.Now()
		mustDo(t, first.close(t.Context()))
		mustDo(t, <-done)
		if took := time.Since(start); took != 0 {
			t.Errorf("the name was free, yet it took %s", took)
		}
	})
}

// TestRosterTakesOver starts a component again after it was killed. Only where it is certain that
// it is gone is the end of the lease not waited for.
func TestRosterTakesOver(t *testing.T) {
	tests := []struct {
		name   string
		change func(dead, successor *record)
		waits  bool
	}{
		{"same host", func(_, _ *record) {}, false},
		{"another type", func(dead, _ *record) { dead.Type = "learner" }, false},
		{"another host", func(dead, _ *record) { dead.HostID = "boot-2" }, true},
		{"a process with its id lives", func(dead, _ *record) { dead.PID = os.Getpid() }, true},
		{"no id", func(dead, _ *record) { dead.PID = 0 }, true},
		{"hosts unknown", func(dead, next *record) { dead.HostID, next.HostID = "", "" }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, lease := newWorld(), 3*time.Second
				killed, next := freshRecord("actor"), freshRecord("actor")
				killed.PID = noProcess
				test.change(&killed, &next)
				dead(t, w, killed)
				start := time.Now()
				enter(t, w.client(), next, rosterOptions{lease: lease})
				if took := time.Since(start); (took >= lease) != test.waits || !test.waits && took != 0 {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

// TestRosterForeignProcesses never takes over from a process of another container.
func TestRosterForeignProcesses(t *testing.T) {
	mine := record{PID: noProcess, HostID: "h", PIDSpace: "pid:[1]"}
	if !hasEnded(mine, mine) {
		t.Error("a process that does not exist counts as alive")
	}
	for name, other := range map[string]record{
		"another space": {PID: noProcess, HostID: "h", PIDSpace: "pid:[2]"},
		"unknown space": {PID: noProcess, HostID: "h"},
		"another host":  {PID: noProcess, HostID: "i", PIDSpace: "pid:[1]"},
		"init":          {PID: 1, HostID: "h", PIDSpace: "pid:[1]"},
	} {
		if hasEnded(other, mine) {
			t.Errorf("%s: taken for dead", name)
		}
	}
}

// TestRosterTwoSuccessors lets several processes succeed a dead one at once, at every
// interleaving of two of them: one does.
func TestRosterTwoSuccessors(t *testing.T) {
	for step := range 8 {
		inBubble(t, func(t *testing.T) {
			w := newWorld()
			killed := freshRecord("actor")
			killed.PID = noProcess
			dead(t, w, killed)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			results := make(chan *player, 2)
			failures := make(chan error, 2)
			try := func(store *fakeStore) {
				p, err := open(ctx, store, freshRecord("actor"), rosterOptions{})
				if err != nil {
					failures <- err
					return
				}
				results <- p
			}
			slow := w.client()
			var at atomic.Int32 // a claim makes several steps at a time
			w.hook(func(client *fakeStore, _, _ string) {
				if client == slow && at.Add(1) == int32(step)+1 {
					go try(w.client())
					time.Sleep(time.Second) // the other is faster
				}
			})
			go try(slow)
			winner := <-results
			select {
			case err := <-failures:
				says[*DuplicateNameError](t, err, winner.self.Instance)
			case other := <-results:
				t.Errorf("step %d: both have the name", step)
				mustDo(t, other.close(t.Context()))
			}
			mustDo(t, winner.refresh(t.Context()))
			mustDo(t, winner.close(t.Context()))
		})
	}
}

// TestRosterSuperseded cuts a component off for longer than its lease; another takes its name.
func TestRosterSuperseded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		store := w.client()
		first := enter(t, store, freshRecord("actor", "learner"), rosterOptions{})
		store.cut(true)
		second := enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		store.cut(false)
		time.Sleep(time.Second)
		first.expect(t, "superseded actor/actor")
		if c := first.last(); !c.record.same(second.self) || !c.previous.same(first.self) {
			t.Errorf("superseded: %+v", c)
		}
		e := says[*SupersededError](t, first.superseded(), `group "group"`, `the name "actor"`,
			first.self.Instance, second.self.Instance, "lease of 3s", "open a new proxy")
		if err := first.refresh(t.Context()); !errors.Is(err, e) {
			t.Errorf("refresh: %v", err)
		}
		mustDo(t, first.close(t.Context())) // withdraws nothing of the second
		mustDo(t, second.refresh(t.Context()))
		if len(w.hash("group:actor")) != 1 || second.superseded() != nil {
			t.Errorf("the second: %q, %v", w.hash("group:actor"), second.superseded())
		}
	})
}

// TestRosterIncarnationTaken draws the number of another member.
func TestRosterIncarnationTaken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, log := newWorld(), new(testLog)
		a := enter(t, w.client(), freshRecord("actor/a", "actor"), rosterOptions{logger: log.logger()})
		b := freshRecord("actor/b", "actor")
		b.Incarnation = a.self.Incarnation
		if _, err := open(t.Context(), w.client(), b, rosterOptions{}); !errors.Is(err,
			errIncarnationTaken) {
			t.Fatalf("%v, want errIncarnationTaken", err)
		}
		if len(w.hash("group:actor")) != 1 {
			t.Errorf("the second was not withdrawn: %q", w.hash("group:actor"))
		}
		synctest.Wait()
		before := log.count("was ignored") // a may have seen b for a moment
		b.Expects = nil                    // blind to a, it cannot notice
		mustDo(t, enter(t, w.client(), b, rosterOptions{}).refresh(t.Context()))
		time.Sleep(time.Minute)
		a.expect(t)
		if n := log.count("was ignored") - before; n != 1 {
			t.Errorf("logged %d times: %q", n, log.lines)
		}
	})
}

// TestRosterOptions refuses what cannot be.
func TestRosterOptions(t *testing.T) {
	good := freshRecord("actor")
	tests := map[string]func(r *record, o *rosterOptions){
		"group":         func(_ *record, o *rosterOptions) { o.group = "a:b" },
		"component":     func(r *record, _ *rosterOptions) { r.Name = "" },
		"type":          func(r *record, _ *rosterOptions) { r.Type = "ä" },
		"expected type": func(r *record, _ *rosterOptions) { r.Expects = []string{" "} },
	}
	for what, spoil := range tests {
		r, o := good, rosterOptions{group: "group"}
		spoil(&r, &o)
		_, err := openRoster(t.Context(), newWorld().client(), r, o, func([]change) {})
		if e := says[*NameError](t, err, "is no name of a "+what); e.What != what {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRosterGivesUp ends ctx while a name is waited for, and finds nothing left behind.
func TestRosterGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		enter(t, w.client(), freshRecord("actor"), rosterOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		store := w.client()
		done := make(chan error, 1)
		go func() {
			_, err := open(ctx, store, freshRecord("actor"), rosterOptions{})
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if len(store.watchers) != 0 {
			t.Error("it still watches")
		}
	})
}

// TestRosterCountedMeanwhile lets another count a start between a claim and its publication: the
// record that stays has a number of its own.
func TestRosterCountedMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		store, other := w.client(), w.client()
		w.hook(func(client *fakeStore, command, key string) {
			if client == store && command == "add" {
				if _, err := other.Add(t.Context(), key, 4, time.Hour); err != nil {
					t.Error(err)
				}
			}
		})
		actor := enter(t, store, freshRecord("actor"), rosterOptions{})
		learner := enter(t, w.client(), freshRecord("learner", "actor"), rosterOptions{})
		found, _ := learner.byName("actor")
		if found.Generation != 5 || actor.self.Generation != 5 {
			t.Errorf("generation %d is published, and %d its own, want 5", found.Generation,
				actor.self.Generation)
		}
		if value := w.hash("group:actor")["actor"]; value != string(actor.own) {
			t.Errorf("the store holds %q", value)
		}
	})
}
