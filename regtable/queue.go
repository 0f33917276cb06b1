package regtable

import "math"

// queue holds the messages that one unit event of one registered event has matched. A unit event
// that stands twice in an event has one queue.
type queue[M any] struct {
	fifo[M]
	unit    Event
	owner   *Registration[M]
	senders map[string]int // messages held, by sender; nil unless senders are counted

	// What the unit event needs, as of an epoch of the table.
	epoch uint64
	peers int
	need  int

	claimed int // while an event is evaluated: what its earlier parts will take
}

// never is what a unit event needs that no number of messages can satisfy.
const never = math.MaxInt

// available returns how much there is of what amounts count: messages, or senders.
func (q *queue[M]) available() int {
	if q.senders != nil {
		return len(q.senders)
	}
	return q.n
}

// resolve finds out what the unit event needs while the membership is as it is now.
func (q *queue[M]) resolve(t *Table[M]) {
	q.epoch = t.epoch
	source, amount := q.unit.node.source, q.unit.node.amount
	named := false
	q.peers = t.members.Count(source)
	if q.peers <= 0 {
		q.peers = 0
		if named = source != Wildcard && t.members.Has(source); named {
			q.peers = 1
		}
	}
	switch {
	case q.peers == 0:
		q.need = never
	case amount.percent:
		q.need = t.options.Rounding.of(amount.number, q.peers)
	case t.options.Uncapped || named && !t.options.Distinct:
		q.need = amount.number
	default:
		q.need = min(amount.number, q.peers)
	}
}

// add keeps a message. It reports whether the oldest message had to make room.
func (q *queue[M]) add(t *Table[M], message M, sender string) (dropped bool) {
	if q.n >= t.options.Limit {
		q.forget(t, *q.at(0))
		q.discard(1)
		dropped = true
	}
	q.push(message)
	if q.senders != nil {
		q.senders[sender]++
	}
	return dropped
}

// forget corrects the senders for a message that leaves.
func (q *queue[M]) forget(t *Table[M], message M) {
	if q.senders == nil {
		return
	}
	sender := t.describe(message).Source
	if q.senders[sender]--; q.senders[sender] <= 0 {
		delete(q.senders, sender)
	}
}

// takenFrom is a sender of whom the firing that is being made has taken a message of a queue.
type takenFrom[M any] struct {
	queue  *queue[M]
	sender string
}

// consume appends the oldest need messages to out, or the oldest message of each of the first need
// senders, and removes them.
func (q *queue[M]) consume(t *Table[M], need int, out []M) []M {
	if q.senders == nil {
		return q.take(need, out)
	}
	first, prefix, rest := len(out), 0, t.rest[:0]
	for ; len(out)-first < need; prefix++ {
		message := *q.at(prefix)
		key := takenFrom[M]{q, t.describe(message).Source}
		if t.taken[key] {
			rest = append(rest, message)
			continue
		}
		t.taken[key] = true
		out = append(out, message)
	}
	for i, message := range rest {
		*q.at(need + i) = message
	}
	q.discard(need)
	for _, message := range out[first:] {
		q.forget(t, message)
	}
	clear(rest)
	t.rest = rest[:0]
	return out
}
