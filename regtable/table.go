package regtable

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// A Handler is called with the messages of a firing: unit events in the order of the event's text,
// the oldest message first within each. The slice is the handler's own.
//
// A handler runs without any lock of the table: it may push, dispatch, register and unregister.
type Handler[M any] func(ctx context.Context, messages []M) error

// Table keeps messages until they satisfy the events that wait for them. All methods may be called
// concurrently, also from handlers; none blocks, but for handlers and for what the functions given
// to [New] do.
type Table[M any] struct {
	describe func(message M) Fact
	members  Members
	options  Options[M]

	mu       sync.Mutex
	rules    []*Registration[M] // in the order of registration
	sequence uint64
	index    index[M]
	dirty    []*Registration[M] // those that may hold: their messages or peers have changed
	revision uint64             // of members
	epoch    uint64             // counts changes of revision
	stats    Stats

	waiting []Firing[M] // not run, because a handler before them panicked

	// Memory that is used again.
	claims []claim[M]
	rest   []M
	taken  map[takenFrom[M]]bool
}

// New returns a table without events. describe tells what the table has to know of a message: it
// may be called more than once for a message, and always answers the same. members tells which
// peers live. Neither may be nil.
func New[M any](
	describe func(message M) Fact, members Members, options Options[M],
) *Table[M] {
	if describe == nil || members == nil {
		panic("regtable: New needs describe and members")
	}
	if options.Limit <= 0 {
		options.Limit = DefaultLimit
	}
	options.Sources = slices.Clone(options.Sources)
	return &Table[M]{
		describe: describe, members: members, options: options,
		revision: members.Revision(), epoch: 1, taken: map[takenFrom[M]]bool{},
	}
}

// Register adds an event. It keeps messages of its own, from those pushed from now on: to register
// an event twice gives two that fire each. The errors are *[EventError], *[UnknownSourceError].
func (t *Table[M]) Register(event Event, handler Handler[M]) (*Registration[M], error) {
	if err := event.Err(); err != nil {
		return nil, err
	}
	if handler == nil {
		return nil, &EventError{Event: event.String(), Reason: "its handler is nil"}
	}
	r := &Registration[M]{table: t, event: event, handler: handler}
	r.root = r.compile(event)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range r.queues {
		if err := t.admit(q); err != nil {
			return nil, err
		}
	}
	t.sequence++
	r.sequence = t.sequence
	t.rules = append(t.rules, r)
	for _, q := range r.queues {
		t.index.add(q)
	}
	return r, nil
}

// admit returns why the table cannot take a unit event.
func (t *Table[M]) admit(q *queue[M]) error {
	n := q.unit.node
	if t.options.Uncapped && !n.amount.percent && n.amount.number > t.options.Limit {
		return &EventError{
			Event:  q.owner.event.String(),
			Reason: q.unit.String() + " needs more messages than Options.Limit lets it keep",
		}
	}
	sources := t.options.Sources
	if sources == nil || n.source == Wildcard || slices.Contains(sources, n.source) ||
		t.members.Has(n.source) {
		return nil
	}
	return &UnknownSourceError{
		Event: q.owner.event, Unit: q.unit, Source: n.source, Known: slices.Clone(sources),
	}
}

// Push keeps a message for every unit event that it matches, and calls no handler. The error is a
// *[FullError] for those that had no room; the others have the message.
func (t *Table[M]) Push(message M) error {
	fact := t.describe(message)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.store(message, &fact)
}

func (t *Table[M]) store(message M, fact *Fact) error {
	if t.options.Late != nil && t.options.Late(message) {
		t.stats.Late++
		return nil
	}
	var found matches[M]
	t.index.match(fact, &found)
	matched := 0
	var full *FullError
	for _, queues := range &found {
		matched += len(queues)
		for _, q := range queues {
			if q.n < t.options.Limit || t.options.Overflow == DropOldest {
				t.keep(q, message, fact.Source)
				continue
			}
			t.stats.Refused++
			if full == nil {
				full = &FullError{Event: q.owner.event, Unit: q.unit, Limit: t.options.Limit}
			}
			full.Units++
		}
	}
	if matched == 0 {
		t.stats.Unmatched++
	}
	if full != nil {
		return full
	}
	return nil
}

// keep puts a message into a queue.
func (t *Table[M]) keep(q *queue[M], message M, sender string) {
	if q.add(t, message, sender) {
		t.stats.Dropped++
	} else {
		t.stats.Cached++
		q.owner.held++
	}
	t.touch(q.owner)
}

// touch has an event evaluated by the next round.
func (t *Table[M]) touch(r *Registration[M]) {
	if !r.dirty {
		r.dirty = true
		t.dirty = append(t.dirty, r)
	}
}

// follow has all events that hold messages evaluated again if the membership has changed.
func (t *Table[M]) follow() {
	revision := t.members.Revision()
	if revision == t.revision {
		return
	}
	t.revision = revision
	t.epoch++
	for _, r := range t.rules {
		if r.held > 0 {
			t.touch(r)
		}
	}
}

// collect appends the firings there are now.
func (t *Table[M]) collect(firings []Firing[M]) []Firing[M] {
	t.follow()
	if len(t.waiting) > 0 {
		firings, t.waiting = append(firings, t.waiting...), nil
	}
	for {
		n := len(firings)
		firings = t.round(firings)
		if !t.options.Drain || len(firings) == n {
			return firings
		}
	}
}

// round evaluates each event that may hold once. What has fired may hold again.
func (t *Table[M]) round(firings []Firing[M]) []Firing[M] {
	if len(t.dirty) > 1 {
		slices.SortFunc(t.dirty, bySequence)
	}
	again := t.dirty[:0]
	for _, r := range t.dirty {
		f, ok := t.fire(r)
		if ok {
			firings = append(firings, f)
		}
		if r.dirty = ok && r.held > 0; r.dirty {
			again = append(again, r)
		}
	}
	clear(t.dirty[len(again):])
	t.dirty = again
	return firings
}

// Get takes the messages of the events that hold and returns them, in the order of registration,
// without calling a handler. It is for programs that call handlers their own way; the others use
// [Table.Dispatch]. What it returns is the caller's own.
func (t *Table[M]) Get() []Firing[M] {
	return t.lockedCollect(nil)
}

// Trigger takes the messages of the events that hold and calls their handlers, as [Table.Dispatch]
// does. A change of the membership can make an event hold without a message: call Trigger then.
func (t *Table[M]) Trigger(ctx context.Context) error {
	var few [stackFirings]Firing[M]
	return t.run(ctx, nil, t.lockedCollect(few[:0]))
}

// Dispatch pushes a message, takes the messages of all events that hold then and calls their
// handlers, one after another in the order of registration, in the calling goroutine. It returns
// when the last handler has returned.
//
// A handler's error does not keep the others from being called; all errors, each a
// *[HandlerError], are joined with that of the push. A handler's panic goes through to the caller:
// the firings behind it are kept for the next Get, Trigger or Dispatch. Two calls at the same time
// never share a message of one unit event, and may run one handler at the same time.
func (t *Table[M]) Dispatch(ctx context.Context, message M) error {
	fact := t.describe(message)
	var few [stackFirings]Firing[M]
	firings, err := t.lead(message, &fact, few[:0])
	return t.run(ctx, err, firings)
}

// stackFirings is for how many firings a call needs no memory of the heap.
const stackFirings = 4

// lead pushes a message and collects what fires, as one step.
func (t *Table[M]) lead(message M, fact *Fact, firings []Firing[M]) ([]Firing[M], error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.store(message, fact)
	return t.collect(firings), err
}

func (t *Table[M]) lockedCollect(firings []Firing[M]) []Firing[M] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.collect(firings)
}

// run calls the handlers of firings, and joins their errors with that of the push.
func (t *Table[M]) run(ctx context.Context, pushed error, firings []Firing[M]) error {
	if len(firings) == 0 {
		return pushed
	}
	next := 0
	defer func() {
		if next < len(firings) { // a handler has panicked
			t.mu.Lock()
			defer t.mu.Unlock()
			t.waiting = append(t.waiting, firings[next:]...)
		}
	}()
	var errs []error
	for next < len(firings) {
		f := &firings[next]
		next++
		if err := f.Handler(ctx, f.Messages); err != nil {
			errs = append(errs, &HandlerError{Event: f.Event, Err: err})
		}
	}
	if errs == nil {
		return pushed
	}
	return errors.Join(append(errs, pushed)...)
}

// remove takes a registered event off the table.
func (t *Table[M]) remove(r *Registration[M]) {
	i := slices.Index(t.rules, r)
	if i < 0 {
		return
	}
	t.rules = slices.Delete(t.rules, i, i+1)
	if i := slices.Index(t.dirty, r); i >= 0 {
		t.dirty = slices.Delete(t.dirty, i, i+1)
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(f Firing[M]) bool { return f.registration == r })
	for _, q := range r.queues {
		t.index.remove(q)
	}
	t.empty(r)
}

// empty drops the messages of a registered event.
func (t *Table[M]) empty(r *Registration[M]) {
	for _, q := range r.queues {
		q.discard(q.n)
		clear(q.senders)
	}
	t.stats.Cached -= r.held
	r.held = 0
}

// Clear drops all messages that the table keeps. The events stay.
func (t *Table[M]) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rules {
		t.empty(r)
	}
	t.waiting = nil
}

// Stats returns what the table has counted.
func (t *Table[M]) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}
