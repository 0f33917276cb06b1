package regtable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/regtable"
)

// These tests show that defects of MARO's RegisterTable are not here.

func TestSourceIsNoSubstring(t *testing.T) {
	table := regtable.New(describe, newCrew("actor.1", "coactor.1", "learner"),
		regtable.Options[*note]{})
	register(t, table, "actor:u:1", discard)
	push(t, table, from("coactor.1", "u"), &note{"my_actor", "other", "u", 0})
	wantGet(t, table)
	push(t, table, from("actor.1", "u"))
	wantGet(t, table, "actor:u:1: actor.1/u")

	// A name that does not contain its type is matched by it.
	push(t, table, &note{"WORKER.0", "actor", "u", 0})
	wantGet(t, table, "actor:u:1: WORKER.0/u")

	// A type that is the beginning of another, as in a subscription to a topic.
	push(t, table, &note{"actor_2", "actor_2", "u", 0}, from("actors.1", "u"))
	wantGet(t, table)
}

func TestExactNameIsASource(t *testing.T) {
	table := regtable.New(describe, newCrew(numbered("worker", 12)...), regtable.Options[*note]{})
	r := register(t, table, "worker.1:update:2", discard)
	push(t, table, from("worker.11", "update"), from("worker.12", "update"))
	wantGet(t, table)
	push(t, table, from("worker.1", "update"))
	wantGet(t, table) // one peer can send two: no cap at the one peer of this name
	if got := r.Progress()[0].String(); got != "worker.1:update:2: 1 of 2, with 1 peers" {
		t.Error(got)
	}
	push(t, table, from("worker.1", "update"))
	wantGet(t, table, "worker.1:update:2: worker.1/update worker.1/update")
}

func TestNameEqualToTypeMatchesOnce(t *testing.T) {
	table := regtable.New(describe, newCrew("master"), regtable.Options[*note]{})
	r := register(t, table, "master:go:1", discard)
	push(t, table, from("master", "go"))
	if have := r.Progress()[0].Have; have != 1 {
		t.Errorf("kept %d times, want once", have)
	}
}

func TestCountAbovePeers(t *testing.T) {
	for _, test := range []struct {
		uncapped bool
		progress string
		fires    []int // at which pushes
	}{
		{false, "worker:update:10: 0 of 2, with 2 peers", []int{2, 4, 6, 8, 10}},
		{true, "worker:update:10: 0 of 10, with 2 peers", []int{10}},
	} {
		t.Run(fmt.Sprint("uncapped=", test.uncapped), func(t *testing.T) {
			table := regtable.New(describe, newCrew(numbered("worker", 2)...),
				regtable.Options[*note]{Uncapped: test.uncapped})
			r := register(t, table, "worker:update:10", discard)
			if diff := cmp.Diff(test.progress, r.Progress()[0].String()); diff != "" {
				t.Errorf("the cap is silent (-want +got):\n%s", diff)
			}
			var fires []int
			for i := range 10 {
				push(t, table, from(fmt.Sprint("worker.", i%2+1), "update"))
				if len(table.Get()) > 0 {
					fires = append(fires, i+1)
				}
			}
			if diff := cmp.Diff(test.fires, fires); diff != "" {
				t.Errorf("firings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPercentageRounding(t *testing.T) {
	for _, test := range []struct {
		rounding regtable.Rounding
		percent  int
		peers    int
		need     int
	}{
		{regtable.FloorAtLeastOne, 50, 5, 2},
		{regtable.FloorAtLeastOne, 60, 5, 3},
		{regtable.FloorAtLeastOne, 100, 5, 5},
		{regtable.FloorAtLeastOne, 10, 5, 1},
		{regtable.FloorAtLeastOne, 1, 1, 1},
		{regtable.Floor, 50, 5, 2},
		{regtable.Floor, 10, 5, 0},
		{regtable.Ceil, 50, 5, 3},
		{regtable.Ceil, 60, 5, 3},
		{regtable.Ceil, 10, 5, 1},
		{regtable.Ceil, 100, 5, 5},
	} {
		table := regtable.New(describe, newCrew(numbered("worker", test.peers)...),
			regtable.Options[*note]{Rounding: test.rounding})
		r := register(t, table, fmt.Sprintf("worker:update:%d%%", test.percent), discard)
		if got := r.Progress()[0].Need; got != test.need {
			t.Errorf("rounding %d: %d%% of %d are %d, want %d",
				test.rounding, test.percent, test.peers, got, test.need)
		}
	}
}

// TestPercentageThatRoundsToNothing is the case of 10 % of five peers.
func TestPercentageThatRoundsToNothing(t *testing.T) {
	const alone, both = "worker:update:10%", "worker:update:10% AND master:go:1"
	newTable := func(rounding regtable.Rounding) *regtable.Table[*note] {
		table := regtable.New(describe, newCrew(append(numbered("worker", 5), "master")...),
			regtable.Options[*note]{Rounding: rounding})
		register(t, table, alone, discard)
		register(t, table, both, discard)
		return table
	}
	table := newTable(regtable.FloorAtLeastOne)
	push(t, table, from("master", "go"))
	wantGet(t, table)
	push(t, table, from("worker.1", "update"))
	wantGet(t, table, alone+": worker.1/update", both+": worker.1/update master/go")

	table = newTable(regtable.Floor)
	push(t, table, from("worker.1", "update"))
	wantGet(t, table)
	push(t, table, from("master", "go"))
	wantGet(t, table, both+": master/go")
}

func TestDistinctSenders(t *testing.T) {
	members := newCrew(numbered("worker", 5)...)
	fast := []string{"worker.1", "worker.1", "worker.1", "worker.2", "worker.1"}
	notes := func() (all []*note) {
		for i, name := range fast {
			n := from(name, "u")
			n.number = i + 1
			all = append(all, n)
		}
		return all
	}
	table := regtable.New(describe, members, regtable.Options[*note]{})
	register(t, table, "worker:u:60%", discard)
	push(t, table, notes()[:3]...)
	wantGet(t, table, "worker:u:60%: worker.1/u#1 worker.1/u#2 worker.1/u#3") // as MARO

	table = regtable.New(describe, members, regtable.Options[*note]{Distinct: true})
	register(t, table, "worker:u:60%", discard)
	push(t, table, notes()...)
	wantGet(t, table)
	push(t, table, from("worker.3", "u"))
	wantGet(t, table, "worker:u:60%: worker.1/u#1 worker.2/u#4 worker.3/u")
	push(t, table, from("worker.3", "u"), from("worker.2", "u"))
	wantGet(t, table, "worker:u:60%: worker.1/u#2 worker.3/u worker.2/u")
}

func TestMembershipIsLive(t *testing.T) {
	members := newCrew(numbered("worker", 5)...)
	table := regtable.New(describe, members, regtable.Options[*note]{})
	register(t, table, "worker:u:100%", discard)
	push(t, table, from("worker.1", "u"), from("worker.2", "u"), from("worker.3", "u"))
	wantGet(t, table)
	members.leave("worker.5")
	wantGet(t, table)
	members.leave("worker.4") // nothing is pushed: the change alone makes the event hold
	wantGet(t, table, "worker:u:100%: worker.1/u worker.2/u worker.3/u")
	members.join("worker.6")
	push(t, table, from("worker.1", "u"), from("worker.2", "u"), from("worker.3", "u"))
	wantGet(t, table)
	push(t, table, from("worker.6", "u"))
	wantGet(t, table, "worker:u:100%: worker.1/u worker.2/u worker.3/u worker.6/u")
}

func TestNoPeersIsNotSatisfied(t *testing.T) {
	for _, rounding := range []regtable.Rounding{
		regtable.FloorAtLeastOne, regtable.Floor, regtable.Ceil,
	} {
		members := newCrew()
		table := regtable.New(describe, members, regtable.Options[*note]{Rounding: rounding})
		for _, event := range []string{"worker:u:1", "worker:u:100%", "worker.1:u:1", "*:u:1"} {
			r := register(t, table, event, discard)
			want := event + ": 0, without peers"
			if diff := cmp.Diff(want, r.Progress()[0].String()); diff != "" {
				t.Error(diff)
			}
		}
		push(t, table, from("worker.1", "u")) // as it leaves
		wantGet(t, table)
		members.join("worker.1")
		wantGet(t, table, "worker:u:1: worker.1/u", "worker:u:100%: worker.1/u",
			"worker.1:u:1: worker.1/u", "*:u:1: worker.1/u")
	}
}

func TestDrainFiresUntilNothingHolds(t *testing.T) {
	for _, drain := range []bool{false, true} {
		table := regtable.New(describe, newCrew("a.1", "a.2"), regtable.Options[*note]{Drain: drain})
		register(t, table, "a:u:2", discard)
		register(t, table, "a:u:1", discard)
		for i := range 5 {
			push(t, table, &note{"a.1", "a", "u", i + 1})
		}
		want := []string{
			"a:u:2: a.1/u#1 a.1/u#2", "a:u:1: a.1/u#1", "a:u:2: a.1/u#3 a.1/u#4", "a:u:1: a.1/u#2",
			"a:u:1: a.1/u#3", "a:u:1: a.1/u#4", "a:u:1: a.1/u#5",
		}
		if drain {
			wantGet(t, table, want...)
		} else {
			wantGet(t, table, want[:2]...) // as MARO: each once
			wantGet(t, table, want[2:4]...)
			wantGet(t, table, want[4])
			wantGet(t, table, want[5])
			wantGet(t, table, want[6])
		}
		wantGet(t, table)
	}
}

// TestLateMessagesDoNotCount lets a round end before its last message comes.
func TestLateMessagesDoNotCount(t *testing.T) {
	members := newCrew(numbered("worker", 3)...)
	grads := func(table *regtable.Table[*note], round int, names ...string) {
		for _, name := range names {
			push(t, table, &note{name, "worker", "grad", round})
		}
	}
	table := regtable.New(describe, members, regtable.Options[*note]{}) // carries, as MARO
	register(t, table, "worker:grad:2", discard)
	grads(table, 1, "worker.1", "worker.2", "worker.3")
	wantGet(t, table, "worker:grad:2: worker.1/grad#1 worker.2/grad#1")
	grads(table, 2, "worker.1")
	wantGet(t, table, "worker:grad:2: worker.3/grad#1 worker.1/grad#2")

	round := 1
	table = regtable.New(describe, members, regtable.Options[*note]{
		Late: func(n *note) bool { return n.number < round },
	})
	register(t, table, "worker:grad:2", discard)
	grads(table, 1, "worker.1", "worker.2", "worker.3")
	wantGet(t, table, "worker:grad:2: worker.1/grad#1 worker.2/grad#1")
	round = 2
	grads(table, 2, "worker.1")
	wantGet(t, table)
	grads(table, 1, "worker.2")
	wantGet(t, table)
	grads(table, 2, "worker.2")
	wantGet(t, table, "worker:grad:2: worker.1/grad#2 worker.2/grad#2")
	if got := table.Stats(); got.Late != 2 || got.Cached != 0 {
		t.Errorf("%d late and %d kept, want 2 and 0", got.Late, got.Cached)
	}
}

func TestQueuesAreBounded(t *testing.T) {
	members := newCrew("a.1", "b.1")
	table := regtable.New(describe, members, regtable.Options[*note]{Limit: 3})
	starved := register(t, table, "a:u:1 AND b:never:1", discard)
	register(t, table, "*:*:1 AND b:never:1", discard)
	register(t, table, "a:u:1", discard)
	for i := range 3 {
		push(t, table, &note{"a.1", "a", "u", i + 1})
		wantGet(t, table, fmt.Sprintf("a:u:1: a.1/u#%d", i+1))
	}
	err := table.Push(&note{"a.1", "a", "u", 4})
	full, ok := errors.AsType[*regtable.FullError](err)
	if !ok || full.Event.String() != starved.Event().String() || full.Unit.String() != "a:u:1" ||
		full.Units != 2 || full.Limit != 3 {
		t.Errorf("got %#v, want a FullError of two unit events, %v first", err, starved.Event())
	}
	wantGet(t, table, "a:u:1: a.1/u#4") // the others go on
	if got := table.Stats(); got.Refused != 2 || got.Cached != 6 {
		t.Errorf("%d refused and %d kept, want 2 and 6", got.Refused, got.Cached)
	}
	table.Clear()
	push(t, table, &note{"a.1", "a", "u", 5})

	for _, distinct := range []bool{false, true} {
		table = regtable.New(describe, members, regtable.Options[*note]{
			Limit: 3, Overflow: regtable.DropOldest, Distinct: distinct, Drain: true,
		})
		register(t, table, "a:u:1 AND b:go:1", discard)
		for i := range 5 {
			push(t, table, &note{"a.1", "a", "u", i + 1})
		}
		push(t, table, from("b.1", "go"))
		wantGet(t, table, "a:u:1 AND b:go:1: a.1/u#3 b.1/go")
		if got := table.Stats(); got.Dropped != 2 || got.Cached != 2 {
			t.Errorf("%d dropped and %d kept, want 2 and 2", got.Dropped, got.Cached)
		}
	}
}

func TestHandlerErrorsAreCollected(t *testing.T) {
	table := regtable.New(describe, newCrew("a.1"), regtable.Options[*note]{Limit: 1})
	broken, worse := errors.New("broken"), errors.New("worse")
	var called []string
	handler := func(name string, err error) regtable.Handler[*note] {
		return func(_ context.Context, messages []*note) error {
			called = append(called, fmt.Sprint(name, messages))
			return err
		}
	}
	register(t, table, "a:u:1", handler("first", broken))
	register(t, table, "a:u:1", handler("second", nil))
	register(t, table, "a:*:1", handler("third", worse))
	register(t, table, "a:u:1 AND a:never:1", discard)
	push(t, table, from("a.1", "u"))
	table.Get()
	err := table.Dispatch(context.Background(), from("a.1", "u"))
	want := []string{"first[a.1/u]", "second[a.1/u]", "third[a.1/u]"}
	if diff := cmp.Diff(want, called); diff != "" {
		t.Errorf("handlers (-want +got):\n%s", diff)
	}
	for _, cause := range []error{broken, worse} {
		if !errors.Is(err, cause) {
			t.Errorf("%v does not wrap %v", err, cause)
		}
	}
	if h, ok := errors.AsType[*regtable.HandlerError](err); !ok || h.Event.String() != "a:u:1" {
		t.Errorf("%v does not tell whose error it is", err)
	}
	if _, ok := errors.AsType[*regtable.FullError](err); !ok {
		t.Errorf("%v hides that the push was refused", err)
	}
}

func TestPanicLosesNoFiring(t *testing.T) {
	table := regtable.New(describe, newCrew("a.1"), regtable.Options[*note]{})
	var called []string
	record := func(name string) regtable.Handler[*note] {
		return func(_ context.Context, messages []*note) error {
			called = append(called, fmt.Sprint(name, messages))
			return nil
		}
	}
	register(t, table, "a:u:1", record("first"))
	register(t, table, "a:u:1", func(context.Context, []*note) error { panic("mine") })
	register(t, table, "a:u:1", record("third"))
	gone := register(t, table, "a:u:1", record("gone"))
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("recovered %v, want the handler's own panic", r)
			}
		}()
		err := table.Dispatch(context.Background(), from("a.1", "u"))
		t.Errorf("the panic was swallowed: %v", err)
	}()
	gone.Unregister()
	if err := table.Trigger(context.Background()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"first[a.1/u]", "third[a.1/u]"}, called); diff != "" {
		t.Errorf("handlers (-want +got):\n%s", diff)
	}
	wantGet(t, table)
}

func TestUnknownSourceIsFoundAtRegistration(t *testing.T) {
	table := regtable.New(describe, newCrew("worker.1", "guest.7"), regtable.Options[*note]{
		Sources: []string{"worker", "master", "worker.2"},
	})
	for _, event := range []string{
		"worker:u:1", "master:u:1", "*:u:1", "worker.1:u:1", "worker.2:u:1", "guest.7:u:1",
	} {
		register(t, table, event, discard)
	}
	event := regtable.MustParse("worker:u:1 OR (master:u:1 AND wroker:u:50%)")
	r, err := table.Register(event, discard)
	unknown, ok := errors.AsType[*regtable.UnknownSourceError](err)
	if r != nil || !ok || unknown.Source != "wroker" || unknown.Unit.String() != "wroker:u:50%" ||
		!slices.Equal(unknown.Known, []string{"worker", "master", "worker.2"}) {
		t.Fatalf("got %v, %v, want an UnknownSourceError", r, err)
	}
	if text := err.Error(); !strings.Contains(text, `"wroker"`) ||
		!strings.Contains(text, "Options.Sources") {
		t.Errorf("%q does not name source and remedy", err)
	}
	push(t, table, from("wroker.1", "u"))
	wantGet(t, table, "*:u:1: wroker.1/u") // nothing of the event was left on the table
}

// countingMembers counts how often it is asked.
type countingMembers struct {
	*crew
	asked int
}

func (c *countingMembers) Count(kind string) int {
	c.asked++
	return c.crew.Count(kind)
}

// TestPushLooksAtMatchingEventsOnly has 1,000 events with messages and room for one more each.
func TestPushLooksAtMatchingEventsOnly(t *testing.T) {
	members := &countingMembers{crew: newCrew("a.1", "a.2", "a.3")}
	table := regtable.New(describe, members, regtable.Options[*note]{})
	for i := range 1000 {
		register(t, table, fmt.Sprintf("a:tag_%d:2", i), discard)
		push(t, table, from("a.1", fmt.Sprint("tag_", i)))
	}
	wantGet(t, table)
	members.asked = 0
	push(t, table, from("a.2", "tag_7"))
	wantGet(t, table, "a:tag_7:2: a.1/tag_7 a.2/tag_7")
	if members.asked != 0 {
		t.Errorf("membership was asked %d times, though nothing about it changed", members.asked)
	}
	members.join("a.4")
	push(t, table, from("a.2", "tag_8"))
	wantGet(t, table, "a:tag_8:2: a.1/tag_8 a.2/tag_8")
	if members.asked != 999 { // every event with messages may hold now
		t.Errorf("membership was asked %d times after a change, want 999", members.asked)
	}
}
