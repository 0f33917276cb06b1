package regtable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/regtable"
)

func TestOrTakesTheFirstThatHolds(t *testing.T) {
	const event = "(w:update:2 AND w:grad:1) OR w:stop:1"
	table := regtable.New(describe, newCrew("w.1", "w.2"), regtable.Options[*note]{})
	register(t, table, event, discard)
	push(t, table, from("w.1", "update"), from("w.2", "update"), from("w.1", "stop"),
		from("w.2", "stop"), from("w.2", "grad"))
	wantGet(t, table, event+": w.1/update w.2/update w.2/grad") // what is declared first
	wantGet(t, table, event+": w.1/stop")
	wantGet(t, table, event+": w.2/stop")
	wantGet(t, table)
}

// TestSameUnitTwiceAddsUp is a case where MARO hands over fewer messages than the event says.
func TestSameUnitTwiceAddsUp(t *testing.T) {
	const event = "a:u:2 AND b:v:1 AND a:u:2"
	table := regtable.New(describe, newCrew("a.1", "a.2", "b.1"), regtable.Options[*note]{})
	r := register(t, table, event, discard)
	push(t, table, from("b.1", "v"))
	for i := range 3 {
		push(t, table, &note{"a.1", "a", "u", i + 1})
		wantGet(t, table)
	}
	push(t, table, &note{"a.1", "a", "u", 4}, &note{"a.1", "a", "u", 5})
	firings := table.Get()
	want := []string{event + ": a.1/u#1 a.1/u#2 b.1/v a.1/u#3 a.1/u#4"}
	if diff := cmp.Diff(want, texts(firings)); diff != "" {
		t.Fatalf("firings (-want +got):\n%s", diff)
	}
	var groups []string
	for _, g := range firings[0].Groups() {
		groups = append(groups, fmt.Sprint(g.Unit, g.Messages))
	}
	want = []string{"a:u:2 [a.1/u#1 a.1/u#2]", "b:v:1 [b.1/v]", "a:u:2 [a.1/u#3 a.1/u#4]"}
	if diff := cmp.Diff(want, groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if have := r.Progress()[0].Have; have != 1 {
		t.Errorf("%d left over, want 1", have)
	}
}

func TestOrDoesNotLookBack(t *testing.T) {
	const event = "(a:u:1 OR b:u:1) AND a:u:1"
	table := regtable.New(describe, newCrew("a.1", "b.1"), regtable.Options[*note]{})
	register(t, table, event, discard)
	push(t, table, from("b.1", "u"))
	wantGet(t, table)
	push(t, table, from("a.1", "u"))
	wantGet(t, table)
	push(t, table, from("a.1", "u"))
	wantGet(t, table, event+": a.1/u a.1/u")
}

func TestOneMessageAnswersTwoUnits(t *testing.T) {
	const event = "a:u:1 AND *:*:1"
	table := regtable.New(describe, newCrew("a.1"), regtable.Options[*note]{})
	register(t, table, event, discard)
	push(t, table, from("a.1", "u"))
	wantGet(t, table, event+": a.1/u a.1/u")
}

func TestUnregister(t *testing.T) {
	table := regtable.New(describe, newCrew("a.1"), regtable.Options[*note]{})
	texts := []string{"a:u:1", "a:*:1", "*:u:1", "*:*:1", "a:u:1 AND a:v:1", "a.1:u:1"}
	var registrations []*regtable.Registration[*note]
	for _, text := range texts {
		registrations = append(registrations, register(t, table, text, discard))
	}
	for i, r := range registrations {
		push(t, table, from("a.1", "u"))
		r.Unregister()
		r.Unregister()
		var left []string
		for _, f := range table.Get() {
			left = append(left, f.Event.String())
		}
		want := slices.DeleteFunc(slices.Clone(texts[i+1:]), func(text string) bool {
			return text == "a:u:1 AND a:v:1"
		})
		if !slices.Equal(left, want) {
			t.Errorf("without %v: %v fire, want %v", r.Event(), left, want)
		}
	}
	if got := table.Stats(); got.Cached != 0 {
		t.Errorf("%d messages of unregistered events are kept", got.Cached)
	}
	unmatched := table.Stats().Unmatched
	push(t, table, from("a.1", "u"))
	if got := table.Stats().Unmatched; got != unmatched+1 {
		t.Errorf("%d unmatched, want %d: the index has not forgotten", got, unmatched+1)
	}
}

func TestClear(t *testing.T) {
	for _, distinct := range []bool{false, true} {
		table := regtable.New(describe, newCrew("a.1", "a.2"),
			regtable.Options[*note]{Distinct: distinct})
		register(t, table, "a:u:2", discard)
		register(t, table, "a:u:1", discard)
		push(t, table, from("a.1", "u"))
		table.Clear()
		wantGet(t, table)
		if got := table.Stats().Cached; got != 0 {
			t.Errorf("%d messages kept", got)
		}
		push(t, table, from("a.2", "u"))
		wantGet(t, table, "a:u:1: a.2/u")
		push(t, table, from("a.1", "u"))
		wantGet(t, table, "a:u:2: a.2/u a.1/u", "a:u:1: a.1/u")
	}
}

func TestRegisterRefuses(t *testing.T) {
	table := regtable.New(describe, newCrew(), regtable.Options[*note]{Uncapped: true, Limit: 10})
	for _, test := range []struct {
		text    string
		handler regtable.Handler[*note]
	}{
		{"a:u:1", nil},
		{"a:u:1 AND a:u:11", discard}, // never: the queue is full at 10
	} {
		r, err := table.Register(regtable.MustParse(test.text), test.handler)
		if _, ok := errors.AsType[*regtable.EventError](err); r != nil || !ok {
			t.Errorf("%s: got %v, %v, want an *EventError", test.text, r, err)
		}
	}
	register(t, table, "a:u:10", discard)
}

// TestHandlersUseTheTable pushes, dispatches, registers and unregisters from handlers.
func TestHandlersUseTheTable(t *testing.T) {
	table := regtable.New(describe, newCrew("a.1"), regtable.Options[*note]{})
	ctx := context.Background()
	var called []string
	var first *regtable.Registration[*note]
	first = register(t, table, "a:start:1", func(ctx context.Context, messages []*note) error {
		called = append(called, "start")
		first.Unregister()
		register(t, table, "a:next:1", func(context.Context, []*note) error {
			called = append(called, "next")
			return table.Push(from("a.1", "last"))
		})
		return table.Dispatch(ctx, from("a.1", "next"))
	})
	register(t, table, "a:*:1", func(_ context.Context, messages []*note) error {
		called = append(called, "any "+messages[0].tag)
		return nil
	})
	register(t, table, "a:last:1", func(context.Context, []*note) error {
		called = append(called, "last")
		return nil
	})
	for range 2 {
		if err := table.Dispatch(ctx, from("a.1", "start")); err != nil {
			t.Fatal(err)
		}
	}
	// Events are taken before the first handler runs: "start" comes second to the inner calls.
	want := []string{"start", "any next", "next", "any start", "any last", "last"}
	if diff := cmp.Diff(want, called); diff != "" {
		t.Errorf("handlers (-want +got):\n%s", diff)
	}
}

// TestConcurrentUse counts that each event gets each message once.
func TestConcurrentUse(t *testing.T) {
	const goroutines, pushes = 8, 400
	table := regtable.New(describe, newCrew(numbered("a", goroutines)...),
		regtable.Options[*note]{Drain: true})
	var singles, pairs, got atomic.Int64
	count := func(n *atomic.Int64) regtable.Handler[*note] {
		return func(_ context.Context, messages []*note) error {
			n.Add(int64(len(messages)))
			return nil
		}
	}
	register(t, table, "a:u:1", count(&singles))
	register(t, table, "a:u:2", count(&pairs))
	r := register(t, table, "a:*:3", discard)
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			for k := range pushes {
				n := from(fmt.Sprint("a.", i+1), "u")
				var err error
				switch {
				case k%3 == 0:
					err = table.Push(n)
				case k%7 == 0:
					err = table.Trigger(context.Background())
					err = errors.Join(err, table.Push(n))
				default:
					err = table.Dispatch(context.Background(), n)
				}
				if err != nil {
					t.Error(err)
				}
				if k%50 == 0 {
					other := register(t, table, "a:u:1", count(&got))
					r.Progress()
					table.Stats()
					other.Unregister()
				}
			}
		})
	}
	wg.Wait()
	if err := table.Trigger(context.Background()); err != nil {
		t.Fatal(err)
	}
	if singles.Load() != goroutines*pushes || pairs.Load() != goroutines*pushes {
		t.Errorf("%d and %d messages were handled, want %d each", singles.Load(), pairs.Load(),
			goroutines*pushes)
	}
}

// TestDistinctForgetsWhoLeft drops messages of senders other than by a firing.
func TestDistinctForgetsWhoLeft(t *testing.T) {
	const event = "a:u:2"
	round := 1
	table := regtable.New(describe, newCrew("a.1", "a.2"), regtable.Options[*note]{
		Distinct: true, Limit: 3, Overflow: regtable.DropOldest,
		Late: func(n *note) bool { return n.number < round },
	})
	register(t, table, event, discard)
	send := func(name string) { push(t, table, &note{name, "a", "u", round}) }
	send("a.1")
	for range 3 {
		send("a.2") // the limit takes the only message of a.1
	}
	wantGet(t, table)

	table.Clear()
	send("a.2")
	round = 2
	send("a.1")
	send("a.1")
	wantGet(t, table) // what a.2 sent is late

	table.Clear()
	round = 3
	messages := []*note{{"a.1", "a", "u", 3}, {"a.1", "a", "u", 3}, {"a.2", "a", "u", 3}}
	push(t, table, messages...)
	messages[2].number = 2 // late by now, and behind as many messages as are needed
	wantGet(t, table)
	send("a.2")
	wantGet(t, table, event+": a.1/u#3 a.2/u#3")
}

func TestNewPanicsWithoutFunctions(t *testing.T) {
	for _, call := range []func(){
		func() { regtable.New[*note](nil, newCrew(), regtable.Options[*note]{}) },
		func() { regtable.New(describe, nil, regtable.Options[*note]{}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("New took nil")
				}
			}()
			call()
		}()
	}
}

func TestSteadyStateAllocates(t *testing.T) {
	members := newCrew(numbered("w", 4)...)
	message := from("w.1", "update")
	ctx := context.Background()
	tests := []struct {
		name    string
		event   string
		options regtable.Options[*note]
		allocs  float64 // a push
	}{
		{"no match", "w:other:1", regtable.Options[*note]{}, 0},
		{"kept", "w:update:3 AND w:never:1", regtable.Options[*note]{
			Limit: 64, Overflow: regtable.DropOldest,
		}, 0},
		{"kept, by sender", "w:update:3 AND w:never:1", regtable.Options[*note]{
			Limit: 64, Overflow: regtable.DropOldest, Distinct: true,
		}, 0},
		{"fires", "w:update:1", regtable.Options[*note]{}, 1}, // the messages
		{"fires each fourth", "w:update:100%", regtable.Options[*note]{}, 0.25},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := regtable.New(describe, members, test.options)
			register(t, table, test.event, discard)
			dispatch := func() {
				for range 128 {
					if err := table.Dispatch(ctx, message); err != nil {
						t.Fatal(err)
					}
				}
			}
			dispatch()
			if got := testing.AllocsPerRun(20, dispatch) / 128; got != test.allocs {
				t.Errorf("%v allocations a push, want %v", got, test.allocs)
			}
		})
	}
}
