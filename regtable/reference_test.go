package regtable_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tutti-ml/tutti/regtable"
)

// formula is an event of the reference tables.
type formula struct {
	operator string // AND, OR, or "" for a unit event
	source   string
	tag      string
	number   int
	percent  bool
	parts    []*formula
}

func (f *formula) event() regtable.Event {
	if f.operator == "" {
		amount := regtable.Count(f.number)
		if f.percent {
			amount = regtable.Percent(f.number)
		}
		return regtable.Unit(f.source, f.tag, amount)
	}
	var events []regtable.Event
	for _, part := range f.parts {
		events = append(events, part.event())
	}
	if f.operator == "AND" {
		return regtable.And(events...)
	}
	return regtable.Or(events...)
}

// text is the event as text, with what combines events in parentheses except outermost.
func (f *formula) text() string {
	if f.operator == "" {
		if f.percent {
			return fmt.Sprintf("%s:%s:%d%%", f.source, f.tag, f.number)
		}
		return fmt.Sprintf("%s:%s:%d", f.source, f.tag, f.number)
	}
	var parts []string
	for _, part := range f.parts {
		text := part.text()
		if part.operator != "" {
			text = "(" + text + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " "+f.operator+" ")
}

func (f *formula) units() (units []*formula) {
	if f.operator == "" {
		return []*formula{f}
	}
	for _, part := range f.parts {
		units = append(units, part.units()...)
	}
	return units
}

func (f *formula) matches(n *note) bool {
	return (f.source == "*" || f.source == n.kind || f.source == n.source) &&
		(f.tag == "*" || f.tag == n.tag)
}

// reference is a slow and obvious table: it looks at everything at every get. literal makes it
// follow MARO's algorithm step by step; it then knows no options but MARO's rules.
type reference struct {
	options regtable.Options[*note]
	members *crew
	literal bool
	rules   []*formula
	caches  []cache
}

// cache holds messages by the text of a unit event.
type cache map[string][]*note

func (r *reference) register(f *formula) {
	r.rules = append(r.rules, f)
	r.caches = append(r.caches, cache{})
}

func (r *reference) push(n *note) {
	if r.options.Late != nil && r.options.Late(n) {
		return
	}
	for i, rule := range r.rules {
		seen := map[string]bool{}
		for _, u := range rule.units() {
			key := u.text()
			if u.matches(n) && !seen[key] {
				r.caches[i][key] = append(r.caches[i][key], n)
			}
			seen[key] = true
		}
	}
}

// get returns the firings, told as texts does.
func (r *reference) get() (all []string) {
	for {
		round := r.round()
		all = append(all, round...)
		if !r.options.Drain || len(round) == 0 {
			return all
		}
	}
}

func (r *reference) round() (firings []string) {
	for i, rule := range r.rules {
		var messages []*note
		if r.literal {
			messages = r.cut(rule, r.caches[i])
		} else {
			messages, r.caches[i] = r.settle(rule, r.caches[i])
		}
		if len(messages) == 0 {
			continue
		}
		text := rule.text() + ":"
		for _, n := range messages {
			text += " " + n.String()
		}
		firings = append(firings, text)
	}
	return firings
}

// need returns how much a unit event needs, and false if it cannot hold.
func (r *reference) need(u *formula) (int, bool) {
	peers, name := r.members.Count(u.source), false
	if peers == 0 && u.source != "*" && r.members.Has(u.source) {
		peers, name = 1, true
	}
	need := u.number
	switch {
	case peers == 0:
		return 0, false
	case u.percent:
		need = u.number * peers / 100
		if r.options.Rounding == regtable.Ceil && u.number*peers%100 != 0 {
			need++
		}
		if r.options.Rounding == regtable.FloorAtLeastOne && need == 0 {
			need = 1
		}
	case need > peers && !r.options.Uncapped && (r.options.Distinct || !name):
		need = peers
	}
	return need, true
}

// satisfied is MARO's _conditional_event_satisfied: the unit events to take for.
func (r *reference) satisfied(f *formula, c cache) (units []*formula) {
	switch f.operator {
	case "":
		if need, ok := r.need(f); ok && need <= len(c[f.text()]) {
			return []*formula{f}
		}
		return nil
	case "AND":
		for _, part := range f.parts {
			some := r.satisfied(part, c)
			if len(some) == 0 {
				return nil
			}
			units = append(units, some...)
		}
		return units
	default:
		for _, part := range f.parts {
			if some := r.satisfied(part, c); len(some) > 0 {
				return some
			}
		}
		return nil
	}
}

// cut is MARO's get_qualified_message.
func (r *reference) cut(rule *formula, c cache) (messages []*note) {
	for _, u := range r.satisfied(rule, c) {
		key := u.text()
		need, _ := r.need(u)
		messages = append(messages, c[key][:need]...)
		c[key] = c[key][need:]
	}
	return messages
}

// settle takes messages out of copies of the cache, and keeps the copy that worked. Where late
// messages were taken, it begins again without them.
func (r *reference) settle(rule *formula, c cache) ([]*note, cache) {
	messages, rest, ok := r.try(rule, c)
	if !ok || len(messages) == 0 {
		return nil, c
	}
	for key := range rest {
		if strings.HasPrefix(key, "taken ") {
			delete(rest, key)
		}
	}
	late := r.options.Late
	if late == nil || !slices.ContainsFunc(messages, late) {
		return messages, rest
	}
	clean := cache{}
	for key, kept := range c {
		clean[key] = slices.DeleteFunc(slices.Clone(kept), late)
	}
	return r.settle(rule, clean)
}

func (r *reference) try(f *formula, c cache) (messages []*note, rest cache, ok bool) {
	switch f.operator {
	case "":
		return r.tryUnit(f, c)
	case "AND":
		rest = c
		for _, part := range f.parts {
			var some []*note
			if some, rest, ok = r.try(part, rest); !ok {
				return nil, c, false
			}
			messages = append(messages, some...)
		}
		return messages, rest, true
	default:
		for _, part := range f.parts {
			if messages, rest, ok = r.try(part, c); ok {
				return messages, rest, true
			}
		}
		return nil, c, false
	}
}

func (r *reference) tryUnit(u *formula, c cache) (messages []*note, rest cache, ok bool) {
	need, ok := r.need(u)
	if !ok {
		return nil, c, false
	}
	key := u.text()
	var left []*note
	var senders []string
	for _, n := range c["taken "+key] {
		senders = append(senders, n.source)
	}
	for _, n := range c[key] {
		again := r.options.Distinct && slices.Contains(senders, n.source)
		if len(messages) == need || again {
			left = append(left, n)
			continue
		}
		messages = append(messages, n)
		senders = append(senders, n.source)
	}
	if len(messages) < need {
		return nil, c, false
	}
	rest = cache{}
	for k, kept := range c {
		rest[k] = kept
	}
	rest[key] = left
	rest["taken "+key] = append(slices.Clone(c["taken "+key]), messages...)
	return messages, rest, true
}

// distinctUnits reports whether no unit event stands twice in the formula.
func (f *formula) distinctUnits() bool {
	seen := map[string]bool{}
	for _, u := range f.units() {
		if seen[u.text()] {
			return false
		}
		seen[u.text()] = true
	}
	return true
}
