package proxy

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRosterConcerns(t *testing.T) {
	self := freshRecord("worker/worker.1", "master")
	r, err := newRoster(newWorld().client(), self, rosterOptions{group: "group", types: self.Expects}, nil)
	mustDo(t, err)
	other := freshRecord("worker/worker.1")
	for about, want := range map[string]bool{
		"master master.1 x":                   true,
		"worker worker.2 x":                   false,
		r.about():                             false,
		"worker worker.1 " + other.Instance:   true, // somebody takes the name
		"observer worker.1 " + other.Instance: true,
		"":                                    true,
		"!":                                   true,
		"a b c d":                             true,
	} {
		if r.concerns(about) != want {
			t.Errorf("%q: concerns says %v", about, !want)
		}
	}
	r.watchAlso("observer")
	if !r.concerns("observer o x") {
		t.Error("a type that was added does not concern it")
	}
}

// TestRosterLooksAtWhatConcernsIt: of a thousand workers none looks at the store when another joins.
func TestRosterLooksAtWhatConcernsIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		client := w.client()
		commands := func() int {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return client.commands
		}
		worker := enter(t, client, freshRecord("worker/worker.1", "master"), rosterOptions{})
		before := commands()
		mustDo(t, enter(t, w.client(), freshRecord("worker/worker.2", "master"), rosterOptions{}).close(t.Context()))
		if n := commands() - before; n != 0 {
			t.Errorf("%d commands went out after its own start, and that of another worker", n)
		}
		enter(t, w.client(), freshRecord("master", "worker"), rosterOptions{})
		if n := commands() - before; n != 3 {
			t.Errorf("%d commands went out for the master, want one look", n)
		}
		if _, there := worker.byName("master"); !there {
			t.Error("the master was not seen")
		}
	})
}

// TestRosterTrips counts the round trips to the store of a group that assembles: each is a wait,
// and together they are most of what a Join takes.
func TestRosterTrips(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld()
		clients := map[string]*fakeStore{}
		trips := map[string]int{}
		expect := func(event string, want map[string]int) {
			t.Helper()
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			for name, client := range clients {
				if n := client.trips - trips[name]; n != want[name] {
					t.Errorf("%s: %s made %d round trips, want %d", event, name, n, want[name])
				}
				trips[name] = client.trips
			}
		}
		start := func(name, expects string) *player {
			clients[name] = w.client()
			return enter(t, clients[name], freshRecord(name, expects), rosterOptions{})
		}
		start("worker/w1", "master")
		expect("a start", map[string]int{"worker/w1": 3}) // watch, claim, appear and look
		start("worker/w2", "master")
		expect("another start", map[string]int{"worker/w2": 3})
		start("master", "worker") // and reads the leases of those it has found; a look each
		expect("the master's start", map[string]int{"master": 4, "worker/w1": 1, "worker/w2": 1})
		last := start("worker/w3", "master")
		expect("the last start", map[string]int{"worker/w3": 4, "master": 1})
		mustDo(t, last.refresh(t.Context()))
		expect("a look", map[string]int{"worker/w3": 1})
	})
}

// TestRosterBoundsWhatItIsTold: hints are anybody's, and fill no memory.
func TestRosterBoundsWhatItIsTold(t *testing.T) {
	r, err := newRoster(newWorld().client(), freshRecord("master", "worker"),
		rosterOptions{group: "group", types: []string{"worker"}}, func([]change) {})
	mustDo(t, err)
	for i := range 10 * maxTold {
		for range 2 {
			if !r.concerns(fmt.Sprintf("worker w%d x", i)) {
				t.Fatal("a worker does not concern it")
			}
		}
	}
	r.concerns("worker " + strings.Repeat("w", maxNameBytes+1) + " x")
	if len(r.told) != maxTold || r.told[maxTold-1] != fmt.Sprint("w", maxTold-1) {
		t.Errorf("%d names are kept: %q", len(r.told), r.told)
	}
}
