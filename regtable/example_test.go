package regtable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tutti-ml/tutti/regtable"
)

// mail is the message of the examples.
type mail struct{ from, kind, tag string }

func facts(m mail) regtable.Fact {
	return regtable.Fact{Source: m.from, SourceType: m.kind, Tag: m.tag}
}

var office = regtable.Fixed{"worker": {"anna", "ben", "cleo"}, "master": {"zoe"}}

func update(from string) mail { return mail{from, "worker", "update"} }

func newTable(options regtable.Options[mail]) *regtable.Table[mail] {
	return regtable.New(facts, office, options)
}

// printMails is a handler.
func printMails(_ context.Context, mails []mail) error {
	var list []string
	for _, m := range mails {
		list = append(list, m.from+":"+m.tag)
	}
	_, err := fmt.Println(strings.Join(list, " "))
	return err
}

func Example() {
	table := regtable.New(facts, office, regtable.Options[mail]{})
	event := regtable.MustParse("worker:update:60% AND master:go:1")
	if _, err := table.Register(event, printMails); err != nil {
		fmt.Println(err)
	}
	for _, m := range []mail{
		update("anna"), update("ben"), {"zoe", "master", "go"}, update("cleo"),
	} {
		if err := table.Dispatch(context.Background(), m); err != nil {
			fmt.Println(err)
		}
	}
	// Output: anna:update zoe:go
}

func ExampleUnit() {
	fmt.Println(regtable.Unit("worker", "update", regtable.Count(10)))
	fmt.Println(regtable.Unit(regtable.Wildcard, "stop", regtable.Percent(60)))
	// Output:
	// worker:update:10
	// *:stop:60%
}

func ExampleAnd() {
	update := regtable.Unit("worker", "update", regtable.Percent(100))
	start := regtable.Unit("master", "go", regtable.Count(1))
	fmt.Println(regtable.And(update, start))
	// Output: worker:update:100% AND master:go:1
}

func ExampleOr() {
	update := regtable.Unit("worker", "update", regtable.Percent(100))
	start := regtable.Unit("master", "go", regtable.Count(1))
	stop := regtable.Unit("*", "stop", regtable.Count(1))
	fmt.Println(regtable.Or(regtable.And(update, start), stop))
	// Output: (worker:update:100% AND master:go:1) OR *:stop:1
}

func ExampleCount() {
	fmt.Println(regtable.Count(10))
	// Output: 10
}

func ExamplePercent() {
	fmt.Println(regtable.Percent(60))
	// Output: 60%
}

func ExampleAmount_String() {
	fmt.Println(regtable.Count(10).String(), regtable.Percent(60).String())
	// Output: 10 60%
}

func ExampleEvent_Err() {
	workers := 0 // as it came from a flag
	event := regtable.Or(
		regtable.Unit("worker", "update", regtable.Count(workers)),
		regtable.Unit("master", "stop", regtable.Count(1)),
	)
	fmt.Println(event.Err())
	// Output: regtable: event worker:update:0: a count is 1 to 1073741824, not 0
}

func ExampleEvent_String() {
	event := regtable.MustParse("a:x:1 || b:x:1 && c:x:50%")
	fmt.Println(event.String())
	// Output: a:x:1 OR (b:x:1 AND c:x:50%)
}

func ExampleParse() {
	event, err := regtable.Parse("(worker:update:4 AND worker:grad:1) OR *:stop:1")
	fmt.Println(event, err)
	_, err = regtable.Parse("worker:update:4 AND worker:grad:")
	fmt.Println(err)
	// Output:
	// (worker:update:4 AND worker:grad:1) OR *:stop:1 <nil>
	// regtable: event, offset 32: the amount is missing: expected an amount such as 10 or 60%
	//     worker:update:4 AND worker:grad:
	//                                     ^
}

func ExampleMustParse() {
	everybody := regtable.MustParse("worker:done:100%")
	fmt.Println(everybody)
	// Output: worker:done:100%
}

func ExampleSyntaxError() {
	_, err := regtable.Parse("worker:update:4 and worker:grad:1")
	if syntax, ok := errors.AsType[*regtable.SyntaxError](err); ok {
		fmt.Println(syntax.Offset, syntax.Expected)
	}
	fmt.Println(err)
	// Output:
	// 16 AND, OR or the end of the event
	// regtable: event, offset 16: expected AND, OR or the end of the event, found "and"
	//     worker:update:4 and worker:grad:1
	//                     ^
}

func ExampleFixed() {
	peers := regtable.Fixed{"worker": {"anna", "ben", "cleo"}, "master": {"zoe"}}
	fmt.Println(peers.Count("worker"), peers.Count(regtable.Wildcard), peers.Count("actor"))
	// Output: 3 4 0
}

func ExampleFixed_Count() {
	fmt.Println(office.Count("worker"), office.Count(regtable.Wildcard))
	// Output: 3 4
}

func ExampleFixed_Has() {
	fmt.Println(office.Has("ben"), office.Has("worker"))
	// Output: true false
}

func ExampleFixed_Revision() {
	fmt.Println(office.Revision())
	// Output: 0
}

func ExampleNew() {
	table := regtable.New(facts, office, regtable.Options[mail]{Rounding: regtable.Ceil})
	r, err := table.Register(regtable.MustParse("worker:update:50%"), printMails)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Progress())
	// Output: [worker:update:50%: 0 of 2, with 3 peers]
}

func ExampleTable_Register() {
	table := newTable(regtable.Options[mail]{Sources: []string{"worker", "master"}})
	_, err := table.Register(regtable.MustParse("worker:update:1 OR mister:stop:1"), printMails)
	what, remedy, _ := strings.Cut(err.Error(), "; ")
	fmt.Println(strings.ReplaceAll(what, ": ", ":\n"))
	fmt.Println(remedy)
	// Output:
	// regtable:
	// event worker:update:1 OR mister:stop:1:
	// unit mister:stop:1:
	// "mister" is neither a known source (worker, master) nor the name of a live peer
	// correct it, or add it to Options.Sources
}

func ExampleTable_Push() {
	table := newTable(regtable.Options[mail]{Limit: 2})
	table.Register(regtable.MustParse("worker:update:3"), printMails)
	for _, name := range []string{"anna", "ben", "cleo"} {
		if err := table.Push(update(name)); err != nil {
			var full *regtable.FullError
			fmt.Println(errors.As(err, &full), full.Unit, full.Limit)
		}
	}
	// Output: true worker:update:3 2
}

func ExampleTable_Get() {
	table := newTable(regtable.Options[mail]{})
	table.Register(regtable.MustParse("worker:update:1"), printMails)
	table.Register(regtable.MustParse("*:*:2"), printMails)
	table.Push(update("anna"))
	table.Push(update("ben"))
	for _, firing := range table.Get() {
		fmt.Print(firing.Event, " ")
		firing.Handler(context.Background(), firing.Messages)
	}
	// Output:
	// worker:update:1 anna:update
	// *:*:2 anna:update ben:update
}

func ExampleFiring_Groups() {
	table := newTable(regtable.Options[mail]{})
	table.Register(regtable.MustParse("worker:update:2 AND master:go:1"), printMails)
	table.Push(mail{"zoe", "master", "go"})
	table.Push(update("anna"))
	table.Push(update("ben"))
	for _, firing := range table.Get() {
		for _, group := range firing.Groups() {
			fmt.Println(group.Unit, group.Messages)
		}
	}
	// Output:
	// worker:update:2 [{anna worker update} {ben worker update}]
	// master:go:1 [{zoe master go}]
}

// After several pushes, or a change of the membership.
func ExampleTable_Trigger() {
	table := newTable(regtable.Options[mail]{Drain: true})
	table.Register(regtable.MustParse("worker:update:1"), printMails)
	table.Push(update("anna"))
	table.Push(update("ben"))
	if err := table.Trigger(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// anna:update
	// ben:update
}

func ExampleTable_Dispatch() {
	table := newTable(regtable.Options[mail]{})
	event := regtable.MustParse("worker:update:1")
	table.Register(event, func(context.Context, []mail) error { return errors.New("disk full") })
	table.Register(event, printMails)
	fmt.Println(table.Dispatch(context.Background(), update("anna")))
	// Output:
	// anna:update
	// regtable: handler of worker:update:1: disk full
}

// Messages of rounds that are over never reach a handler.
func ExampleOptions_late() {
	round := "2"
	table := newTable(regtable.Options[mail]{
		Late: func(m mail) bool { return m.tag < round },
	})
	table.Register(regtable.MustParse("worker:*:2"), printMails)
	for _, m := range []mail{
		{"anna", "worker", "1"}, {"ben", "worker", "2"}, {"cleo", "worker", "2"},
	} {
		if err := table.Dispatch(context.Background(), m); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(table.Stats().Late, "late")
	// Output:
	// ben:2 cleo:2
	// 1 late
}

func ExampleTable_Clear() {
	table := newTable(regtable.Options[mail]{})
	table.Register(regtable.MustParse("worker:update:2"), printMails)
	table.Push(update("anna"))
	table.Clear()
	table.Push(update("ben"))
	fmt.Println(len(table.Get()))
	// Output: 0
}

func ExampleTable_Stats() {
	table := newTable(regtable.Options[mail]{})
	table.Register(regtable.MustParse("worker:update:2"), printMails)
	for _, name := range []string{"anna", "ben", "cleo"} {
		table.Push(update(name))
	}
	table.Push(mail{"zoe", "master", "go"})
	table.Get()
	fmt.Printf("%+v\n", table.Stats())
	// Output: {Cached:1 Fired:1 Unmatched:1 Late:0 Dropped:0 Refused:0}
}

func ExampleRegistration_Event() {
	r, _ := newTable(regtable.Options[mail]{}).Register(
		regtable.MustParse("worker:update:2"), printMails)
	fmt.Println(r.Event())
	// Output: worker:update:2
}

func ExampleRegistration_Unregister() {
	table := newTable(regtable.Options[mail]{})
	r, _ := table.Register(regtable.MustParse("worker:update:1"), printMails)
	r.Unregister()
	table.Push(update("anna"))
	fmt.Println(len(table.Get()))
	// Output: 0
}

func ExampleRegistration_Progress() {
	table := newTable(regtable.Options[mail]{})
	r, _ := table.Register(
		regtable.MustParse("(worker:update:10 AND master:go:1) OR actor:stop:1"), printMails)
	table.Push(update("anna"))
	for _, p := range r.Progress() {
		fmt.Println(p)
	}
	// Output:
	// worker:update:10: 1 of 3, with 3 peers
	// master:go:1: 0 of 1, with 1 peers
	// actor:stop:1: 0, without peers
}

func ExampleProgress_String() {
	unit := regtable.Unit("worker", "update", regtable.Percent(60))
	fmt.Println(regtable.Progress{Unit: unit, Peers: 5, Need: 3, Have: 2})
	// Output: worker:update:60%: 2 of 3, with 5 peers
}
