package proxy

import (
	"slices"
	"time"
)

// outgoing is a message for one peer, kept until it is settled. Its body is the sender's memory.
type outgoing struct {
	peer       *peer
	prev, next *outgoing // in its queue
	queue      *queue    // nil once it is settled

	meta, body  []byte
	memory      *memory // that body lies in, when it was received
	staged      *staged // what of it lies where the peer sees it; nil when it is sent, or small
	largest     int64   // bytes of the body, compressed or not
	sessionType SessionType
	stage       Stage
	session     ID
	message     ID
	tag         string
	answer      bool    // it ends a task: delivery settles it
	relay       bool    // it is another component's, which settles it with the receiver
	path        []*peer // through which it reaches the peer, when relays bring it
	arrived     bool    // the peer has said that a relay brought it
	void        bool    // given up, yet its number on the stream is taken
	posted      time.Time

	// On the stream to the peer's incarnation; a new incarnation begins at zero.
	seq      uint64
	ordinal  uint64 // among the requests
	flight   int64  // what it counts for in the window
	consumed bool
	// acknowledged: the peer's application has said that a task is under way.
	acknowledged bool
	again        bool // it was sent on a link before the one in use
	sent         int  // bytes that the link has taken
	lent         bool // a link has, or had, a part of it out of the sender's memory
	step         uint32

	// What meta and a session of this message alone are kept in, for one allocation to do.
	space [metaFixedBytes + 36]byte
	own   session
}

func (o *outgoing) size() int64 { return int64(len(o.meta) + len(o.body)) }

// queue is a list of outgoing messages in the order in which they were posted.
type queue struct {
	head, tail *outgoing
	fresh      *outgoing // the first that is not on the stream yet
	unconsumed *outgoing // the first on the stream that is not consumed, or fresh
	messages   int
	voids      int   // of them
	bytes      int64 // without the voids'
}

// kept is how many messages there are that somebody wants to arrive.
func (q *queue) kept() int { return q.messages - q.voids }

func (q *queue) push(o *outgoing) {
	o.queue, o.prev, o.next = q, q.tail, nil
	if q.tail == nil {
		q.head = o
	} else {
		q.tail.next = o
	}
	q.tail = o
	if q.fresh == nil {
		q.fresh = o
	}
	if q.unconsumed == nil {
		q.unconsumed = o
	}
	q.messages++
	q.bytes += o.size()
}

func (q *queue) remove(o *outgoing) {
	if q.fresh == o {
		q.fresh = o.next
	}
	if q.unconsumed == o {
		q.unconsumed = o.next
	}
	if o.prev == nil {
		q.head = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		q.tail = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.queue, o.prev, o.next = nil, nil, nil
	q.messages--
	if o.void {
		q.voids--
	} else {
		q.bytes -= o.size()
	}
}

// outbox is what is kept for a peer, and the state of the stream to its incarnation.
type outbox struct {
	requests, answers queue
	relayed           queue       // requests that relays bring: they are not on the stream
	resend            []*outgoing // on the stream, to be sent again on a new link, in order
	current           *outgoing   // of which the link has taken a part, or is to take all
	batch             []*outgoing // that go in the same frame, behind it

	seq       uint64 // the last number given to a message
	ordinal   uint64 // the last number given to a request
	delivered uint64 // acknowledged
	consumed  uint64
	flying    int64 // bytes of requests on the stream and not consumed
	window    int64 // how many the peer allows
	maxBody   int64 // how large it allows a body to be; 0 while that is not known
}

// Messages of at most smallBytes go out in one frame, when there are several, of at most
// batchBytes: a link reads so much at once.
const (
	smallBytes = 4 << 10
	batchBytes = 15 << 10
)

// gather chooses what is to be sent next, and says whether there is something. What is sent again
// goes by itself: the numbers in a frame follow each other, and of those some may have arrived.
func (b *outbox) gather() bool {
	o := b.next()
	if o == nil {
		return false
	}
	again := o.seq > 0
	b.take(o)
	b.current = o
	room := batchBytes - o.size()
	for !again && o.size() <= smallBytes {
		n := b.next()
		if n == nil || n.size() > min(room, smallBytes) {
			break
		}
		b.take(n)
		b.batch = append(b.batch, n)
		o, room = n, room-n.size()
	}
	return true
}

// next returns the message to send next, nil when there is none or the window is closed.
func (b *outbox) next() *outgoing {
	for len(b.resend) > 0 {
		if o := b.resend[0]; o.seq > b.delivered { // what was on a broken link may have come all the same
			return o
		}
		b.resend = b.resend[1:]
	}
	o := b.answers.fresh
	if o == nil {
		o = b.requests.fresh
		if o == nil || b.relayed.tail != nil && !b.relayed.tail.arrived ||
			b.flying > 0 && b.flying+o.size() > b.window {
			return nil
		}
	}
	return o
}

// skip leaves out a message that no link has taken any of.
func (b *outbox) skip(o *outgoing) {
	switch {
	case b.current != o:
		b.batch = slices.DeleteFunc(b.batch, func(x *outgoing) bool { return x == o })
	case len(b.batch) > 0:
		b.current, b.batch = b.batch[0], slices.Delete(b.batch, 0, 1)
	default:
		b.current = nil
	}
}

// take takes what next has returned.
func (b *outbox) take(o *outgoing) {
	if len(b.resend) > 0 {
		b.resend = b.resend[1:]
		return
	}
	o.queue.fresh = o.next
	b.seq++
	o.seq = b.seq
	if !o.answer {
		b.ordinal++
		o.ordinal = b.ordinal
		o.flight = o.size()
		b.flying += o.flight
	}
}

// rewind makes all that is on the stream and not known to be delivered be sent again: the peer has
// told on a new link what it has.
func (b *outbox) rewind() {
	b.current, b.batch, b.resend = nil, nil, b.resend[:0]
	for _, q := range []*queue{&b.answers, &b.requests} {
		for o := q.head; o != nil && o != q.fresh; o = o.next {
			if o.seq > b.delivered {
				o.again = o.again || o.sent > 0
				o.sent, o.step = 0, 0
				b.resend = append(b.resend, o)
			}
		}
	}
	slices.SortFunc(b.resend, func(x, y *outgoing) int {
		if x.seq < y.seq {
			return -1
		}
		return 1
	})
}

// restart begins a stream to a new incarnation. Answers were for the one before and go; all
// requests that are not settled are sent again, in their order. It returns how many had been sent
// before, and how many answers went that are not known to have arrived.
func (b *outbox) restart() (again, dropped int) {
	for b.answers.head != nil {
		if !b.answers.head.void {
			dropped++
		}
		b.answers.remove(b.answers.head)
	}
	for o := b.requests.head; o != nil; {
		next := o.next
		if o.void || o.relay {
			b.requests.remove(o)
		} else {
			if o.seq > 0 {
				again++
			}
			o.seq, o.ordinal, o.sent, o.step = 0, 0, 0, 0
			o.consumed, o.acknowledged, o.again = false, false, false
			o.stage = o.sessionType.request()
		}
		o = next
	}
	b.requests.fresh, b.requests.unconsumed = b.requests.head, b.requests.head
	for b.relayed.head != nil {
		b.direct(b.relayed.head)
		again++
	}
	b.current, b.batch, b.resend, b.maxBody = nil, nil, nil, 0
	b.seq, b.ordinal, b.delivered, b.consumed, b.flying = 0, 0, 0, 0, 0
	return again, dropped
}

// idle says whether the peer has everything that was sent to it, so that what a relay brings can't
// overtake anything.
func (b *outbox) idle() bool {
	return b.current == nil && len(b.resend) == 0 && b.seq == b.delivered &&
		b.requests.fresh == nil && b.answers.fresh == nil &&
		(b.relayed.tail == nil || b.relayed.tail.arrived)
}

// direct sends a message that relays should have brought on the stream.
func (b *outbox) direct(o *outgoing) {
	b.relayed.remove(o)
	o.meta[3] |= flagAgain
	b.requests.push(o)
}

// makeVoid turns a message that is given up into one that only keeps its number. What the link has
// of a half-sent one has to be followed by the rest, so that is copied, for the sender's memory to
// be its own again.
func (b *outbox) makeVoid(o *outgoing) {
	o.memory = nil // not for the pool: a link may read it still
	if !o.void {
		o.void = true
		o.queue.voids++
		o.queue.bytes -= o.size()
	}
	if b.current == o && o.sent > 0 {
		o.body = slices.Clone(o.body)
		return
	}
	m := meta{flags: flagVoid, session: o.session, message: o.message}
	if o.answer {
		m.flags |= flagReply
		m.sessionType, m.stage = Task, TaskComplete
	}
	o.meta, o.body = m.append(nil), nil
}
