package regtable_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/regtable"
)

var (
	peers   = append(numbered("worker", 5), "master.1", "spare.1")
	sources = []string{"*", "worker", "master", "spare", "nobody", "worker.1", "master.1"}
	labels  = []string{"*", "update", "grad", "stop"}
)

func drawFormula(t *rapid.T, depth int) *formula {
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "unit") == 0 {
		f := &formula{
			source:  rapid.SampledFrom(sources).Draw(t, "source"),
			tag:     rapid.SampledFrom(labels).Draw(t, "tag"),
			number:  rapid.IntRange(1, 4).Draw(t, "count"),
			percent: rapid.Bool().Draw(t, "percent"),
		}
		if f.percent {
			f.number = rapid.SampledFrom([]int{1, 10, 20, 40, 50, 60, 99, 100}).Draw(t, "percentage")
		}
		return f
	}
	f := &formula{operator: rapid.SampledFrom([]string{"AND", "OR"}).Draw(t, "operator")}
	for range rapid.IntRange(2, 3).Draw(t, "parts") {
		f.parts = append(f.parts, drawFormula(t, depth-1))
	}
	return f
}

// play drives a table and a reference by the same random steps and compares all firings.
func play(t *rapid.T, reference *reference) {
	reference.members = newCrew(peers...)
	members, round := reference.members, 0
	table := regtable.New(describe, members, reference.options)
	add := func(t *rapid.T) {
		f := drawFormula(t, 3)
		if reference.literal && !f.distinctUnits() {
			t.Skip("MARO hands over fewer messages than declared")
		}
		if _, err := table.Register(f.event(), discard); err != nil {
			t.Fatal(err)
		}
		reference.register(f)
	}
	if reference.options.Late != nil {
		reference.options.Late = func(n *note) bool { return n.number < round }
		table = regtable.New(describe, members, reference.options)
	}
	get := func(t *rapid.T) {
		if diff := cmp.Diff(reference.get(), texts(table.Get())); diff != "" {
			t.Fatalf("firings of %v with %v (-reference +table):\n%s", rules(reference),
				members.names, diff)
		}
	}
	push := func(t *rapid.T) {
		n := from(rapid.SampledFrom(peers).Draw(t, "source"),
			rapid.SampledFrom([]string{"update", "update", "grad", "stop", "other"}).Draw(t, "tag"))
		n.number = round
		if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
			n.number--
		}
		reference.push(n)
		if err := table.Push(n); err != nil {
			t.Fatal(err)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"register":     add,
		"push":         push,
		"push again":   push,
		"push and get": func(t *rapid.T) { push(t); get(t) },
		"get":          get,
		"next round":   func(*rapid.T) { round++ },
		"membership": func(t *rapid.T) {
			name := rapid.SampledFrom(peers).Draw(t, "who")
			if members.Has(name) {
				members.leave(name)
			} else {
				members.join(name)
			}
		},
		"": func(t *rapid.T) {
			kept := 0
			for _, c := range reference.caches {
				for _, messages := range c {
					kept += len(messages)
				}
			}
			if reference.options.Late == nil && table.Stats().Cached != kept {
				t.Fatalf("Stats tells %d messages, want %d", table.Stats().Cached, kept)
			}
		},
	})
}

func rules(r *reference) (events []string) {
	for _, f := range r.rules {
		events = append(events, f.event().String())
	}
	return events
}

// TestTableIsMARO compares the table, with rounding as there, with MARO's algorithm.
func TestTableIsMARO(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		play(t, &reference{
			literal: true,
			options: regtable.Options[*note]{Rounding: regtable.Floor},
		})
	})
}

// TestTableIsReference compares the table, under all options, with one that copies its messages
// and tries.
func TestTableIsReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		options := regtable.Options[*note]{
			Rounding: rapid.SampledFrom([]regtable.Rounding{
				regtable.FloorAtLeastOne, regtable.Floor, regtable.Ceil,
			}).Draw(t, "rounding"),
			Uncapped: rapid.Bool().Draw(t, "uncapped"),
			Distinct: rapid.Bool().Draw(t, "distinct"),
			Drain:    rapid.Bool().Draw(t, "drain"),
		}
		if rapid.Bool().Draw(t, "drops late") {
			options.Late = func(*note) bool { return false } // play puts its own here
		}
		play(t, &reference{options: options})
	})
}

// TestGroupsCoverMessages checks that the groups of a firing are its messages, and match.
func TestGroupsCoverMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormula(t, 3)
		table := regtable.New(describe, newCrew(peers...), regtable.Options[*note]{Drain: true})
		if _, err := table.Register(f.event(), discard); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			source := peers[rapid.IntRange(0, len(peers)-1).Draw(t, "source")]
			n := from(source, labels[1:][i%3])
			n.number = i
			if err := table.Push(n); err != nil {
				t.Fatal(err)
			}
		}
		units := f.units()
		for _, firing := range table.Get() {
			var flat []*note
			for _, g := range firing.Groups() {
				i := slices.IndexFunc(units, func(u *formula) bool {
					return u.event().String() == g.Unit.String()
				})
				if i < 0 {
					t.Fatalf("group of %v, which is not in %v", g.Unit, f.event())
				}
				for _, n := range g.Messages {
					if !units[i].matches(n) {
						t.Fatalf("%v answers %v", n, g.Unit)
					}
				}
				flat = append(flat, g.Messages...)
			}
			if !slices.Equal(flat, firing.Messages) {
				t.Fatalf("groups %v, messages %v", flat, firing.Messages)
			}
		}
	})
}

// TestEventRoundTrips checks that the text of an event is what it should be, and that event again.
func TestEventRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormula(t, 5)
		event := f.event()
		if got, want := event.String(), f.text(); got != want {
			t.Fatalf("%s came out as %s", want, got)
		}
		parsed, err := regtable.Parse(event.String())
		if err != nil {
			t.Fatal(err)
		}
		if parsed.String() != event.String() {
			t.Fatalf("%v came back as %v", event, parsed)
		}
	})
}
