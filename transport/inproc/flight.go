package inproc

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// flight is what conditions do to the frames of a lane. The lane's lock protects it.
type flight struct {
	slow       bool // frames are not there as soon as they are sent
	conditions LinkConditions
	pause      time.Duration
	chance     *rand.Rand
	free       time.Time // when the link has let through what was sent so far
	last       time.Time // when the last frame sent is due
	taken      time.Time // when the receiver consumed its last frame
	aimed      bool      // the clock has a delivery of this lane
}

// launch sends a frame on its way. The caller has locked l and moved tail over the frame.
func (l *lane) launch(s *slot) {
	f := &l.flight
	now := time.Now()
	f.free = later(f.free, now)
	if b := f.conditions.Bandwidth; b > 0 {
		bits := float64(s.header.Length) / float64(b)
		f.free = f.free.Add(time.Duration(bits * float64(time.Second)))
	}
	due := f.free.Add(f.conditions.Delay)
	if j := f.conditions.Jitter; j > 0 {
		due = due.Add(time.Duration(f.chance.Int64N(int64(j))))
	}
	f.last = later(f.last, due)
	s.due = f.last
	l.aim()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// aim tells the clock when the next frame arrives, if that is known. The caller has locked l.
func (l *lane) aim() {
	f := &l.flight
	next := l.arrived.Load()
	if f.aimed || next == l.tail.Load() || l.held() {
		return
	}
	when := l.ring[next%depth].due
	if f.pause > 0 {
		if next != l.consumed.Load() {
			return // consume aims
		}
		when = later(when, f.taken.Add(f.pause))
	}
	f.aimed = true
	l.network.clock.add(arrival{when, l})
}

// arrive delivers what is due. Only the clock calls it.
func (l *lane) arrive(now time.Time, delivered func(Delivery)) {
	l.mu.Lock()
	f := &l.flight
	f.aimed = false
	any := false
	for {
		next := l.arrived.Load()
		if l.held() || next == l.tail.Load() || l.ring[next%depth].due.After(now) {
			break
		}
		if f.pause > 0 && (next != l.consumed.Load() || f.taken.Add(f.pause).After(now)) {
			break
		}
		if delivered != nil {
			delivered(Delivery{
				At: now, From: l.direction.from, To: l.direction.to, Link: l.ordinal, Frame: next,
				Bytes: int(l.ring[next%depth].header.Length),
			})
		}
		l.arrived.Store(next + 1)
		any = true
	}
	l.aim()
	ended := l.settle()
	l.mu.Unlock()
	if any || ended {
		l.notify()
	}
}

// held says that nothing arrives, whenever it is due. The caller has locked l.
func (l *lane) held() bool {
	return l.flight.conditions.Fault != Healthy || l.recvErr.Load() != nil
}

// settle, when all has arrived that was sent, ends the slow mode if nothing asks for it, and the
// direction if the sender has closed it: then it says true. The caller has locked l.
func (l *lane) settle() bool {
	f := &l.flight
	if l.arrived.Load() != l.tail.Load() {
		return false
	}
	f.slow = f.conditions != (LinkConditions{}) || f.pause > 0
	if l.closing {
		l.recvErr.CompareAndSwap(nil, l.blame("receive", l.to, l.from, transport.ErrClosed))
	}
	return l.closing
}

// setConditions changes what happens to the lane from now on. Frames under way keep their times,
// but those that were held arrive after the new delay.
func (l *lane) setConditions(c LinkConditions, pause time.Duration) {
	l.mu.Lock()
	f := &l.flight
	held := f.conditions.Fault != Healthy
	f.conditions, f.pause = c, pause
	l.paced.Store(pause > 0)
	f.slow = f.slow || c != (LinkConditions{}) || pause > 0
	if held && c.Fault == Healthy {
		earliest := time.Now().Add(c.Delay)
		for i := l.arrived.Load(); i < l.tail.Load(); i++ {
			s := &l.ring[i%depth]
			s.due = later(s.due, earliest)
			f.last = later(f.last, s.due)
		}
	}
	l.aim()
	ended := l.settle()
	l.mu.Unlock()
	if c.Fault == Broken {
		l.fail(ErrCut)
	}
	if ended {
		l.notify()
	}
}

// arrival is when the clock has to look at a lane.
type arrival struct {
	when time.Time
	lane *lane
}

// schedule is the clock of a network: a queue of arrivals and one timer of package time.
type schedule struct {
	delivered func(Delivery)
	mu        sync.Mutex
	queue     arrivals
	timer     *time.Timer
	next      time.Time // when the timer fires, zero when it does not
	turn      sync.Mutex
}

func (c *schedule) add(a arrival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	heap.Push(&c.queue, a)
	c.arm()
}

// arm sets the timer for the first arrival. The caller has locked c.
func (c *schedule) arm() {
	if len(c.queue) == 0 || !c.next.IsZero() && !c.queue[0].when.Before(c.next) {
		return
	}
	c.next = c.queue[0].when
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Until(c.next), c.fire)
	} else {
		c.timer.Reset(time.Until(c.next))
	}
}

// fire delivers all that is due, in order.
func (c *schedule) fire() {
	c.turn.Lock()
	defer c.turn.Unlock()
	now := time.Now()
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || c.queue[0].when.After(now) {
			c.next = time.Time{}
			c.arm()
			c.mu.Unlock()
			return
		}
		a := heap.Pop(&c.queue).(arrival)
		c.mu.Unlock()
		a.lane.arrive(now, c.delivered)
	}
}

// arrivals is a heap by time; lanes that are due at the same time have an order of their own.
type arrivals []arrival

func (q arrivals) Len() int { return len(q) }

func (q arrivals) Less(i, j int) bool {
	a, b := q[i], q[j]
	if c := a.when.Compare(b.when); c != 0 {
		return c < 0
	}
	return cmp.Or(
		cmp.Compare(a.lane.direction.from, b.lane.direction.from),
		cmp.Compare(a.lane.direction.to, b.lane.direction.to),
		cmp.Compare(a.lane.ordinal, b.lane.ordinal),
	) < 0
}

func (q arrivals) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *arrivals) Push(x any) { *q = append(*q, x.(arrival)) }

func (q *arrivals) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
