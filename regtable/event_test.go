package regtable_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/regtable"
)

func TestEventErrors(t *testing.T) {
	one := regtable.Count(1)
	valid := regtable.Unit("a", "b", one)
	deep := valid
	for range regtable.MaxDepth + 1 {
		deep = regtable.And(deep, valid)
	}
	wide := valid
	for range 100 { // 2^100 unit events
		wide = regtable.Or(wide, wide)
	}
	tests := []struct {
		name  string
		event regtable.Event
		say   string
	}{
		{"zero", regtable.Event{}, "the zero Event"},
		{"no events", regtable.And(), "combines no events"},
		{"source", regtable.Unit("", "b", one), "the source is empty"},
		{"tag", regtable.Unit("a", "b:c", regtable.Count(1)), "no ':'"},
		{"blank", regtable.Unit("a b", "c", regtable.Count(1)), "no ' '"},
		{"operator", regtable.Unit("a", "b&&c", regtable.Count(1)), "no '&'"},
		{"pattern", regtable.Unit("a*", "b", regtable.Count(1)), "no patterns"},
		{"long", regtable.Unit("a", strings.Repeat("b", 256), regtable.Count(1)), "longer than 255"},
		{"count", regtable.Unit("a", "b", regtable.Count(0)), "a count is"},
		{"negative", regtable.Unit("a", "b", regtable.Count(-1)), "a count is"},
		{"large", regtable.Unit("a", "b", regtable.Count(regtable.MaxCount+1)), "a count is"},
		{"percent", regtable.Unit("a", "b", regtable.Percent(101)), "a percentage is"},
		{"no amount", regtable.Unit("a", "b", regtable.Amount{}), "a count is"},
		{"inner", regtable.Or(valid, regtable.And(valid, regtable.Unit("a", "", one))), "tag"},
		{"inner zero", regtable.Or(valid, regtable.Event{}), "the zero Event"},
		{"one wrong", regtable.And(regtable.Event{}), "the zero Event"},
		{"deep", deep, "nest deeper than 100"},
		{"wide", wide, "more than 1024"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.event.Err()
			if _, ok := errors.AsType[*regtable.EventError](err); !ok {
				t.Fatalf("got %v, want an *EventError", err)
			}
			if !strings.Contains(err.Error(), test.say) {
				t.Errorf("%q does not say %q", err, test.say)
			}
			if test.event.String() == "" {
				t.Error("the event has no text")
			}
			table := regtable.New(describe, newCrew(), regtable.Options[*note]{})
			if r, got := table.Register(test.event, discard); r != nil || got != err {
				t.Errorf("Register returns %v, %v, want %v", r, got, err)
			}
		})
	}
}

func TestEventIsImmutable(t *testing.T) {
	parts := []regtable.Event{regtable.MustParse("a:b:1"), regtable.MustParse("c:d:1")}
	event := regtable.And(parts...)
	parts[0] = regtable.Event{}
	if got := event.String(); got != "a:b:1 AND c:d:1" {
		t.Errorf("the event became %s", got)
	}
}

// TestLargestEventRoundTrips has as many units with as long names as are allowed.
func TestLargestEventRoundTrips(t *testing.T) {
	name := strings.Repeat("n", regtable.MaxNameBytes)
	u := regtable.Unit(name, name, regtable.Count(regtable.MaxCount))
	event := u
	for range regtable.MaxDepth {
		event = regtable.Or(event, u)
	}
	var units []regtable.Event
	for range regtable.MaxUnits - regtable.MaxDepth {
		units = append(units, u)
	}
	units[0] = regtable.MustParse("x:y:1") // deep itself would be one operator too deep
	flat := regtable.And(units...)
	for _, e := range []regtable.Event{event, flat} {
		parsed, err := regtable.Parse(e.String())
		if err != nil || parsed.String() != e.String() {
			t.Errorf("an event of %d bytes does not come back: %v", len(e.String()), err)
		}
	}
}
