package regtable

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestFIFOIsASlice compares a fifo with a slice.
func TestFIFOIsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f fifo[*int]
		var want []*int
		next := 0
		upTo := func(t *rapid.T) int { return rapid.IntRange(0, len(want)).Draw(t, "k") }
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "n") {
					number := next
					f.push(&number)
					want = append(want, &number)
					next++
				}
			},
			"discard": func(t *rapid.T) {
				k := upTo(t)
				f.discard(k)
				want = want[k:]
			},
			"take": func(t *rapid.T) {
				k := upTo(t)
				if got := f.take(k, nil); !slices.Equal(got, want[:k]) {
					t.Fatalf("took %v, want %v", got, want[:k])
				}
				want = want[k:]
			},
			"filter": func(t *rapid.T) {
				k, divisor := upTo(t), rapid.IntRange(1, 4).Draw(t, "divisor")
				remove := func(number *int) bool { return *number%divisor == 0 }
				removed := f.filter(k, remove)
				kept := append(slices.DeleteFunc(slices.Clone(want[:k]), remove), want[k:]...)
				if removed != len(want)-len(kept) {
					t.Fatalf("removed %d, want %d", removed, len(want)-len(kept))
				}
				want = kept
			},
			"": func(t *rapid.T) {
				if f.n != len(want) {
					t.Fatalf("%d messages, want %d", f.n, len(want))
				}
				held := 0
				for _, number := range f.ring {
					if number != nil {
						held++
					}
				}
				if held != f.n {
					t.Fatalf("%d messages are held, of which %d have left", held, held-f.n)
				}
				for i, number := range want {
					if *f.at(i) != number {
						t.Fatalf("message %d is %d, want %d", i, **f.at(i), *number)
					}
				}
			},
		})
	})
}

func TestEmptyFIFOGivesLargeRingsBack(t *testing.T) {
	var f fifo[int]
	for i := range keptRing + 1 {
		f.push(i)
	}
	f.discard(f.n)
	if f.ring != nil {
		t.Errorf("an empty fifo holds %d slots", len(f.ring))
	}
}

// TestRoundLooksAtTouchedEventsOnly looks at what a push has evaluated among 1,000 events that
// hold messages, and at what is left to evaluate.
func TestRoundLooksAtTouchedEventsOnly(t *testing.T) {
	table := New(func(tag string) Fact { return Fact{"a.1", "a", tag} },
		Fixed{"a": {"a.1", "a.2"}}, Options[string]{})
	nothing := func(context.Context, []string) error { return nil }
	for i := range 1000 {
		event := MustParse(fmt.Sprintf("a:tag_%d:2 AND a:never:1", i))
		if _, err := table.Register(event, nothing); err != nil {
			t.Fatal(err)
		}
		if err := table.Push(fmt.Sprint("tag_", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(table.dirty) != 1000 {
		t.Errorf("%d events to look at, want 1000", len(table.dirty))
	}
	table.Get()
	if err := table.Push("tag_7"); err != nil {
		t.Fatal(err)
	}
	if len(table.dirty) != 1 || table.dirty[0] != table.rules[7] {
		t.Errorf("%d events to look at, want the one of tag_7", len(table.dirty))
	}
	table.Get()
	if len(table.dirty) != 0 {
		t.Errorf("%d events to look at after a round in which none fired", len(table.dirty))
	}
}
