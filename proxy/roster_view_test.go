package proxy

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// TestViewFollows drives a view with arbitrary sightings. Replaying the changes gives its members,
// the same seen again soon changes nothing, and who holds a lease is never judged.
func TestViewFollows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := newView(record{Name: "self", Incarnation: 1, Instance: "self"})
		replayed := map[string]record{}
		for range rapid.IntRange(1, 30).Draw(t, "looks") {
			var found []record
			holders := map[string]holder{}
			for name := range 5 {
				r := record{
					Name: fmt.Sprint("n", name), Type: "t",
					Instance:    fmt.Sprint("i", rapid.IntRange(0, 2).Draw(t, "instance")),
					Incarnation: rapid.IntRange(1, 12).Draw(t, "incarnation"),
				}
				if rapid.Bool().Draw(t, "published") {
					found = append(found, r)
				}
				switch rapid.IntRange(0, 3).Draw(t, "lease") {
				case 0, 1:
					holders[r.Name] = r.holder()
				case 2:
					holders[r.Name] = holder{"t", "another"}
				}
			}
			how := rapid.SampledFrom([]verdict{plain, doubtful, withheld}).Draw(t, "verdict")
			// Who was refused for its incarnation's number may count once the other has moved on.
			rounds := 0
			for settled := false; !settled; rounds++ {
				changes, _ := v.update(found, holders, how)
				for _, c := range changes {
					replay(t, replayed, c, holders, how)
				}
				settled = len(changes) == 0
			}
			if rounds > 6 {
				t.Fatalf("the same changes something %d times", rounds-1)
			}
			if len(replayed) != len(v.live) {
				t.Fatalf("replayed %v, live %v", replayed, v.live)
			}
			taken := map[int]bool{1: true}
			for name, member := range v.live {
				if !replayed[name].same(member) || taken[member.Incarnation] {
					t.Fatalf("replayed %+v, live %+v", replayed[name], member)
				}
				taken[member.Incarnation] = true
			}
		}
	})
}

// replay checks that a change follows from what was before.
func replay(t *rapid.T, members map[string]record, c change, holders map[string]holder,
	how verdict,
) {
	name := c.record.Name
	was, lived := members[name]
	_, held := holders[name]
	switch c.kind {
	case left, lapsed:
		if !lived || !was.same(c.record) || held || how == withheld || how == doubtful && c.kind == left {
			t.Fatalf("%s %+v, held %v, verdict %d", c.kind, c.record, held, how)
		}
		delete(members, name)
		return
	case replaced:
		if c.previous.same(c.record) || lived && !was.same(c.previous) {
			t.Fatalf("%+v replaced by %+v", c.previous, c.record)
		}
	default:
		if lived {
			t.Fatalf("%s %+v, who was there", c.kind, c.record)
		}
	}
	if holders[name] != c.record.holder() {
		t.Fatalf("%s %+v, who does not hold the name", c.kind, c.record)
	}
	members[name] = c.record
}

// TestViewForgets bounds what is remembered of those who lapsed.
func TestViewForgets(t *testing.T) {
	v := newView(record{Name: "self"})
	for i := range maxLapsed + 10 {
		r := record{Name: fmt.Sprint(i), Incarnation: i + 1, Instance: "i"}
		v.update([]record{r}, map[string]holder{r.Name: r.holder()}, plain)
		v.update([]record{r}, nil, plain)
	}
	if len(v.lapsed) != maxLapsed || len(v.order) != maxLapsed || v.lapsed["10"].Name == "" {
		t.Errorf("%d and %d remembered", len(v.lapsed), len(v.order))
	}
}

// TestRosterConverges cuts off, kills, restarts, empties and withdraws at random; in the end all
// see the same again, and what each was told adds up to it.
func TestRosterConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type action struct{ what, who int }
		var script []action
		var pauses []time.Duration
		for range rapid.IntRange(1, 25).Draw(rt, "length") {
			script = append(script, action{
				rapid.IntRange(0, 5).Draw(rt, "what"), rapid.IntRange(0, 3).Draw(rt, "who"),
			})
			pauses = append(pauses, rapid.SampledFrom([]time.Duration{
				0, time.Millisecond, 400 * time.Millisecond, 2 * time.Second, 5 * time.Second,
			}).Draw(rt, "pause"))
		}
		inBubble(t, func(t *testing.T) {
			w := newWorld()
			var players [4]*player
			var stores [4]*fakeStore
			begin := func(i int) {
				stores[i] = w.client()
				players[i] = enter(t, stores[i], freshRecord(fmt.Sprint("t/p", i), "t"), rosterOptions{})
			}
			for i := range players {
				begin(i)
			}
			for i, a := range script {
				time.Sleep(pauses[i])
				switch p := players[a.who]; a.what {
				case 0:
					stores[a.who].cut(true)
				case 1:
					stores[a.who].cut(false)
				case 2:
					p.crash()
					begin(a.who) // waits for the lease
				case 3:
					p.close(t.Context())
					begin(a.who)
				case 4:
					w.flush()
				case 5:
					for _, store := range stores {
						store.cut(true)
					}
				}
			}
			for _, store := range stores {
				store.cut(false)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			for i, p := range players {
				want := slices.DeleteFunc([]string{"p0", "p1", "p2", "p3"}, func(name string) bool {
					return name == p.self.Name
				})
				told := map[string]record{}
				for _, c := range p.told {
					if delete(told, c.record.Name); c.kind != left && c.kind != lapsed {
						told[c.record.Name] = c.record
					}
				}
				for _, name := range want {
					peer := players[name[1]-'0']
					found, _ := p.byName(name)
					if !found.same(peer.self) || !told[name].same(peer.self) || p.superseded() != nil {
						t.Errorf("after %v, p%d sees %+v as %s, was told %+v; %v", script, i, found, name,
							told[name], p.superseded())
					}
				}
			}
		})
	})
}
