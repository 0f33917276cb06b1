package regtable

import (
	"cmp"
	"fmt"
	"slices"
)

// A Registration is an event on a table, with its handler and its messages. Its methods may be
// called concurrently, also from handlers.
type Registration[M any] struct {
	table    *Table[M]
	sequence uint64
	event    Event
	handler  Handler[M]
	root     clause[M]
	queues   []*queue[M] // one for each distinct unit event
	held     int         // messages in all queues
	dirty    bool        // it is on table.dirty
}

// clause is an event with the queues of its unit events.
type clause[M any] struct {
	kind  kind
	queue *queue[M]
	parts []clause[M]
}

// claim is what a firing takes from a queue.
type claim[M any] struct {
	queue *queue[M]
	need  int
}

// compile returns the clause of an event.
func (r *Registration[M]) compile(e Event) clause[M] {
	n := e.node
	if n.kind == unit {
		return clause[M]{queue: r.queueOf(e)}
	}
	c := clause[M]{kind: n.kind, parts: make([]clause[M], len(n.parts))}
	for i, part := range n.parts {
		c.parts[i] = r.compile(part)
	}
	return c
}

func (r *Registration[M]) queueOf(e Event) *queue[M] {
	same := func(q *queue[M]) bool {
		a, b := q.unit.node, e.node
		return a.source == b.source && a.tag == b.tag && a.amount == b.amount
	}
	if i := slices.IndexFunc(r.queues, same); i >= 0 {
		return r.queues[i]
	}
	q := &queue[M]{unit: e, owner: r}
	if r.table.options.Distinct {
		q.senders = map[string]int{}
	}
	r.queues = append(r.queues, q)
	return q
}

// choose finds out whether the clause holds, and appends to table.claims what it takes then.
func (t *Table[M]) choose(c *clause[M]) bool {
	start := len(t.claims)
	switch c.kind {
	case unit:
		q := c.queue
		if q.epoch != t.epoch {
			q.resolve(t)
		}
		if q.available()-q.claimed < q.need {
			return false
		}
		q.claimed += q.need
		t.claims = append(t.claims, claim[M]{q, q.need})
		return true
	case and:
		for i := range c.parts {
			if !t.choose(&c.parts[i]) {
				t.unclaim(start)
				return false
			}
		}
		return true
	default:
		for i := range c.parts {
			if t.choose(&c.parts[i]) {
				return true
			}
		}
		return false
	}
}

// unclaim forgets the claims from start on.
func (t *Table[M]) unclaim(start int) {
	for _, c := range t.claims[start:] {
		c.queue.claimed -= c.need
	}
	clear(t.claims[start:])
	t.claims = t.claims[:start]
}

// fire evaluates a registered event once and takes the messages where it holds.
func (t *Table[M]) fire(r *Registration[M]) (f Firing[M], ok bool) {
	for {
		if !t.choose(&r.root) {
			return f, false
		}
		if t.options.Late == nil || t.dropLate() == 0 {
			break
		}
		t.unclaim(0)
	}
	total := 0
	for _, c := range t.claims {
		total += c.need
	}
	if total > 0 {
		f = Firing[M]{Event: r.event, Handler: r.handler, registration: r}
		f.Messages = make([]M, 0, total)
		for _, c := range t.claims {
			f.Messages = c.queue.consume(t, c.need, f.Messages)
		}
		if len(t.taken) > 0 {
			clear(t.taken)
		}
		if r.root.kind != unit {
			f.spans = make([]span, len(t.claims))
			for i, c := range t.claims {
				f.spans[i] = span{c.queue.unit, c.need}
			}
		}
		r.held -= total
		t.stats.Cached -= total
		t.stats.Fired++
	}
	t.unclaim(0)
	return f, total > 0
}

// dropLate removes the late messages among those that are claimed.
func (t *Table[M]) dropLate() (dropped int) {
	for _, c := range t.claims {
		q := c.queue
		k := min(q.claimed, q.n)
		if q.senders != nil {
			k = q.n // senders may stand anywhere in the queue
		}
		n := q.filter(k, func(message M) bool {
			late := t.options.Late(message)
			if late {
				q.forget(t, message)
			}
			return late
		})
		q.owner.held -= n
		dropped += n
	}
	t.stats.Cached -= dropped
	t.stats.Late += uint64(dropped)
	return dropped
}

// bySequence orders registrations as they were made.
func bySequence[M any](a, b *Registration[M]) int { return cmp.Compare(a.sequence, b.sequence) }

// Event returns the registered event.
func (r *Registration[M]) Event() Event { return r.event }

// Unregister takes the event off the table, with its messages. Handlers that are running go on,
// and firings that were handed out stay. To unregister again does nothing.
func (r *Registration[M]) Unregister() {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	r.table.remove(r)
}

// Progress tells what one unit event of a registered event waits for.
type Progress struct {
	Unit  Event
	Peers int // live peers of the source; without any, the unit event does not hold
	Need  int // messages needed now, or senders if Options.Distinct; 0 without peers
	Have  int // of these
}

// String returns, for instance, "worker:update:60%: 2 of 3, with 5 peers".
func (p Progress) String() string {
	if p.Peers == 0 {
		return fmt.Sprintf("%v: %d, without peers", p.Unit, p.Have)
	}
	return fmt.Sprintf("%v: %d of %d, with %d peers", p.Unit, p.Have, p.Need, p.Peers)
}

// Progress returns what the event waits for: an element for each distinct unit event, in the order
// of their first appearance. It is meant for logs, and for the question why a handler is not
// called: a count that is capped, or a percentage that was rounded, is seen here.
func (r *Registration[M]) Progress() []Progress {
	t := r.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.follow()
	progress := make([]Progress, len(r.queues))
	for i, q := range r.queues {
		q.resolve(t)
		progress[i] = Progress{Unit: q.unit, Peers: q.peers, Need: q.need, Have: q.available()}
		if q.need == never {
			progress[i].Need = 0
		}
	}
	return progress
}
