package regtable

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of an event, for whoever takes events from a file or from a user.
const (
	MaxTextBytes = 1 << 20 // of a text that Parse reads
	MaxDepth     = 100     // of nested operators, and of nested parentheses
	MaxUnits     = 1024    // unit events in one event
	MaxNameBytes = 255     // of a source or a tag
	MaxCount     = 1 << 30 // of an absolute amount
)

// Wildcard stands, as a source, for every peer and, as a tag, for every tag.
const Wildcard = "*"

// An Event says which messages a handler waits for: a unit event, or events combined by [And] and
// [Or]. It is immutable, and may be shared, copied and registered on any number of tables.
//
// The zero Event is invalid. What is wrong with an event is remembered in it and reported by
// [Event.Err] and [Table.Register], so that building one needs no error handling in between.
type Event struct{ node *node }

type kind uint8

const (
	unit kind = iota
	and
	or
)

type node struct {
	kind   kind
	source string // unit
	tag    string // unit
	amount Amount // unit
	parts  []Event
	depth  int // of operators
	units  int
	err    error
}

// An Amount is how many messages a unit event needs: a [Count], or a [Percent] of the live peers.
type Amount struct {
	number  int
	percent bool
}

// Count is n messages, 1 to [MaxCount].
func Count(n int) Amount { return Amount{number: n} }

// Percent is p percent, 1 to 100, of the live peers that the unit event's source stands for.
func Percent(p int) Amount { return Amount{number: p, percent: true} }

// String returns the amount as it is written in a unit event: "10" or "60%".
func (a Amount) String() string {
	text := strconv.Itoa(a.number)
	if a.percent {
		text += "%"
	}
	return text
}

// check returns what is wrong with the amount, or "".
func (a Amount) check() string {
	switch {
	case a.percent && (a.number < 1 || a.number > 100):
		return fmt.Sprintf("a percentage is 1%% to 100%%, not %v", a)
	case !a.percent && (a.number < 1 || a.number > MaxCount):
		return fmt.Sprintf("a count is 1 to %d, not %v", MaxCount, a)
	}
	return ""
}

// Unit is the event of amount messages with the tag from the source. The source is a peer's type,
// a peer's exact name, or [Wildcard]; the tag is exact, or Wildcard.
func Unit(source, tag string, amount Amount) Event {
	n := &node{source: source, tag: tag, amount: amount, units: 1}
	e := Event{n}
	if _, reason := checkName("source", source); reason != "" {
		n.err = &EventError{Event: e.String(), Reason: reason}
	} else if _, reason := checkName("tag", tag); reason != "" {
		n.err = &EventError{Event: e.String(), Reason: reason}
	} else if reason := amount.check(); reason != "" {
		n.err = &EventError{Event: e.String(), Reason: reason}
	}
	return e
}

// And holds when all events hold; the messages of all are handed over, in the order of the
// arguments. Of one event it is that event.
func And(events ...Event) Event { return combine(and, events) }

// Or holds when one of the events holds; the first that does, in the order of the arguments, is
// handed over, and the others keep their messages. Of one event it is that event.
func Or(events ...Event) Event { return combine(or, events) }

func combine(kind kind, events []Event) Event {
	if len(events) == 1 {
		return events[0]
	}
	n := &node{kind: kind, parts: append([]Event(nil), events...)}
	if len(events) == 0 {
		n.err = &EventError{Event: Event{n}.String(), Reason: "it combines no events"}
	}
	for _, e := range events {
		if err := e.Err(); err != nil && n.err == nil {
			n.err = err
		}
		if e.node != nil {
			n.depth = max(n.depth, e.node.depth)
			n.units += e.node.units
		}
	}
	n.depth++
	switch {
	case n.err != nil:
	case n.depth > MaxDepth:
		n.err = &EventError{Reason: fmt.Sprintf("operators nest deeper than %d", MaxDepth)}
	case n.units > MaxUnits:
		n.err = &EventError{Reason: fmt.Sprintf("more than %d unit events", MaxUnits)}
	}
	if n.err != nil {
		n.parts = nil // what is too large or wrong is not kept, so that nothing walks it
	}
	return Event{n}
}

// Err returns nil for a valid event, or an [*EventError] for the first thing that is wrong with it.
func (e Event) Err() error {
	if e.node == nil {
		return errZeroEvent
	}
	return e.node.err
}

var errZeroEvent error = &EventError{Reason: "it is the zero Event; use Unit, And, Or or Parse"}

// String returns the event as text. For a valid event, [Parse] returns the same event from it.
func (e Event) String() string {
	switch {
	case e.node == nil:
		return "(zero event)"
	case e.node.kind != unit && len(e.node.parts) == 0:
		return "(invalid event)"
	}
	return string(e.node.append(nil))
}

func (n *node) append(text []byte) []byte {
	if n.kind == unit {
		text = append(text, n.source...)
		text = append(append(text, ':'), n.tag...)
		return append(append(text, ':'), n.amount.String()...)
	}
	for i, e := range n.parts {
		if i > 0 && n.kind == and {
			text = append(text, " AND "...)
		} else if i > 0 {
			text = append(text, " OR "...)
		}
		if e.node.kind == unit {
			text = e.node.append(text)
			continue
		}
		text = append(e.node.append(append(text, '(')), ')')
	}
	return text
}

// checkName returns what is wrong with a source or a tag, and at which byte, or "".
func checkName(what, name string) (offset int, reason string) {
	switch {
	case name == "":
		return 0, "the " + what + " is empty; * stands for any"
	case name == Wildcard:
		return 0, ""
	case len(name) > MaxNameBytes:
		return MaxNameBytes, fmt.Sprintf("the %s is longer than %d bytes", what, MaxNameBytes)
	}
	for i, r := range name {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(name[i:], string(utf8.RuneError)):
			return i, "the " + what + " is not valid UTF-8"
		case r == '*':
			return i, "* stands alone, for any " + what + ": there are no patterns"
		case strings.ContainsRune(":()&|", r), r == ' ', !unicode.IsPrint(r):
			return i, fmt.Sprintf("a %s has no %q in it", what, r)
		}
	}
	return 0, ""
}

// parseAmount is strict: ASCII digits without sign, blank, underscore or leading zero, and a
// percent sign or not. It returns what is wrong, and at which byte, or "".
func parseAmount(text string) (a Amount, offset int, reason string) {
	digits, percent := strings.CutSuffix(text, "%")
	if digits == "" {
		return a, 0, "the amount is missing"
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return a, i, "the amount is a whole number, in ASCII digits only, or a whole percentage"
		}
	}
	if digits[0] == '0' && len(digits) > 1 {
		return a, 0, "the amount has a leading zero"
	}
	number, err := strconv.Atoi(digits)
	if errors.Is(err, strconv.ErrRange) {
		return a, 0, fmt.Sprintf("the amount is more than %d", MaxCount)
	} else if err != nil {
		return a, 0, err.Error()
	}
	a = Amount{number, percent}
	return a, 0, a.check()
}
