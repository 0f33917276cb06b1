package proxy

import (
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
