package inproc

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

const (
	// depth is how many frames one direction of a link holds.
	depth = 64
	// eagerBytes is the largest payload that is copied when it is sent.
	eagerBytes = 4 << 10
	// arenaBytes is the memory for such copies, of one direction. What doesn't fit is lent.
	arenaBytes = 64 << 10
)

// slot is a frame under way. The sender writes it, under the lane's lock, before it moves tail over
// it; the receiver owns it from when arrived has moved over it until it moves head.
type slot struct {
	header transport.Header
	// pieces is the payload: both the sender's memory, or, once owned, all of it in the first,
	// which is the lane's. Where it is not owned, the lock protects it.
	pieces [2][]byte
	owned  atomic.Bool
	arena  uint64 // bytes of the arena that the payload takes
	due    time.Time
}

// lane is one direction of a link: a ring of frames. The frames before head were taken, those
// before arrived can be taken, those before tail were sent.
type lane struct {
	network   *Network
	direction direction
	ordinal   int
	from, to  *Endpoint

	ring                [depth]slot
	head, arrived, tail atomic.Uint64

	// sendErr and recvErr end the direction at the one end and at the other.
	sendErr, recvErr atomic.Pointer[transport.LinkError]
	starved          atomic.Bool // the sender was refused
	news             atomic.Bool // the receiver has not looked since something arrived
	paced            atomic.Bool // each frame waits for the one before it to be consumed
	// consumed is head, and one more when that frame has no payload and was shown.
	consumed atomic.Uint64

	done  uint64 // the sender's: frames that are no longer lent
	arena []byte // the sender's, used in a circle, made at first use
	used  uint64 // bytes of the arena ever used
	freed atomic.Uint64

	mu         sync.Mutex
	looked     sync.Cond   // the receiver has stopped looking at the sender's memory
	reading    bool        // it is in Read
	showing    bool        // it has called Peek
	reclaiming bool        // the sender waits for that to end
	deserted   atomic.Bool // it has closed its end
	closing    bool        // the sender has closed its end
	flight     flight
}

func newLane(n *Network, d direction, ordinal int, from, to *Endpoint) *lane {
	l := &lane{network: n, direction: d, ordinal: ordinal, from: from, to: to}
	l.looked.L = &l.mu
	seed := uint64(d.from)<<42 | uint64(d.to)<<21 | uint64(ordinal)
	l.flight.chance = rand.New(rand.NewPCG(n.options.Seed, seed))
	return l
}

// send takes a frame if there is room.
func (l *lane) send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if err := l.sendErr.Load(); err != nil {
		return false, err
	}
	tail := l.tail.Load()
	if tail-l.head.Load() == depth {
		l.starved.Store(true)
		if tail-l.head.Load() == depth {
			return false, nil
		}
		l.starved.Store(false)
	}
	l.mu.Lock()
	if err := l.sendErr.Load(); err != nil { // so that nothing arrives after an error
		l.mu.Unlock()
		return false, err
	}
	s := &l.ring[tail%depth]
	s.header = *h
	l.load(s, pieces)
	l.tail.Store(tail + 1)
	delayed := l.flight.slow
	if delayed {
		l.launch(s)
	} else {
		l.arrived.Store(tail + 1)
	}
	l.mu.Unlock()
	if !delayed {
		l.notify()
	}
	return true, nil
}

// load puts the payload into a slot: copied where it is small, else lent.
func (l *lane) load(s *slot, pieces [2][]byte) {
	n := len(pieces[0]) + len(pieces[1])
	s.arena = 0
	if n > eagerBytes {
		s.pieces = pieces
		s.owned.Store(false)
		return
	}
	if n == 0 {
		s.pieces = [2][]byte{}
		s.owned.Store(true)
		return
	}
	if l.arena == nil {
		l.arena = make([]byte, arenaBytes)
	}
	size := uint64(n+7) &^ 7
	at, skip := l.used%arenaBytes, uint64(0)
	if at+size > arenaBytes {
		at, skip = 0, arenaBytes-at
	}
	if l.used+skip+size-l.freed.Load() > arenaBytes {
		s.pieces = pieces
		s.owned.Store(false)
		return
	}
	s.arena = skip + size
	l.used += s.arena
	b := l.arena[at : at+uint64(n) : at+size]
	copy(b[copy(b, pieces[0]):], pieces[1])
	s.pieces = [2][]byte{b, nil}
	s.owned.Store(true)
}

// sent counts the frames that are no longer lent, in order.
func (l *lane) sent() (uint64, error) {
	tail, head := l.tail.Load(), l.head.Load()
	for l.done < tail && (l.done < head || l.ring[l.done%depth].owned.Load()) {
		l.done++
	}
	if err := l.sendErr.Load(); err != nil {
		return l.done, err
	}
	return l.done, nil
}

// reclaim makes all payloads the lane's own. It waits for a receiver that is looking at one.
func (l *lane) reclaim() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reclaiming = true
	for (l.reading || l.showing) && !l.ring[l.head.Load()%depth].owned.Load() {
		l.looked.Wait()
	}
	l.reclaiming = false
	l.own()
}

// own copies all that is lent. The caller has locked l. A receiver that looks at the sender's
// memory at this moment goes on with the copy from its next call.
func (l *lane) own() {
	for i := l.head.Load(); i < l.tail.Load(); i++ {
		s := &l.ring[i%depth]
		if s.owned.Load() {
			continue
		}
		if lost := l.deserted.Load() || l.recvErr.Load() != nil && i >= l.arrived.Load(); !lost {
			n := int(s.header.Length)
			b := make([]byte, (n+7)&^7)[:n] // a multiple of 8, so that it starts at one
			copy(b[copy(b, s.pieces[0]):], s.pieces[1])
			s.pieces = [2][]byte{b, nil}
		} else {
			s.pieces = [2][]byte{}
		}
		s.owned.Store(true)
	}
}

// look gives the receiver the payload of the frame at the head. Where that is the sender's memory,
// the receiver has to call lookAway: reclaim waits for it.
func (l *lane) look(s *slot, read bool) (pieces [2][]byte, lent bool) {
	if s.owned.Load() {
		return s.pieces, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reclaiming {
		l.own() // or a receiver that looks again and again would keep the sender for ever
	}
	if s.owned.Load() {
		return s.pieces, false
	}
	if read {
		l.reading = true
	} else {
		l.showing = true
	}
	return s.pieces, true
}

func (l *lane) lookAway() {
	l.mu.Lock()
	l.reading, l.showing = false, false
	l.mu.Unlock()
	l.looked.Broadcast()
}

// hide is lookAway for Peek alone, unless a wake-up has come.
func (l *lane) hide(woken *atomic.Bool) {
	l.mu.Lock()
	if !woken.Load() {
		l.showing = false
	}
	l.mu.Unlock()
	l.looked.Broadcast()
}

// pass takes the frame at the head off the lane.
func (l *lane) pass(s *slot) {
	lent := !s.owned.Load()
	if s.arena > 0 {
		l.freed.Add(s.arena)
	} else if s.header.Length > 0 {
		l.mu.Lock()
		l.reading, l.showing = false, false
		s.pieces = [2][]byte{} // another's memory is not kept alive
		l.mu.Unlock()
		l.looked.Broadcast()
	}
	head := l.head.Add(1)
	l.consume(head)
	if l.arrived.Load() != head {
		l.tell() // what was behind the frame has become reachable
	}
	if l.starved.Load() && l.starved.Swap(false) || lent {
		l.from.signal()
	}
}

// consume says that the receiver needs nothing more of the frames before upTo.
func (l *lane) consume(upTo uint64) {
	if l.consumed.Load() == upTo {
		return
	}
	l.consumed.Store(upTo)
	if l.paced.Load() {
		l.mu.Lock()
		l.flight.taken = time.Now()
		l.aim()
		l.mu.Unlock()
	}
}

// tell makes the receiver's Wait return until it has looked.
func (l *lane) tell() {
	if !l.news.Swap(true) {
		l.to.news.Add(1)
	}
	if l.deserted.Load() {
		l.asked()
	}
}

// notify tells the receiver that something has arrived.
func (l *lane) notify() {
	l.tell()
	l.to.rouse()
}

// asked says that the receiver is looking.
func (l *lane) asked() {
	if l.news.Load() && l.news.Swap(false) {
		l.to.news.Add(-1)
	}
}

// fail ends the direction with a cause: at once for the sender, after what has arrived for the
// receiver. The first cause stays.
func (l *lane) fail(cause error) {
	l.mu.Lock()
	l.sendErr.CompareAndSwap(nil, l.blame("send", l.from, l.to, cause))
	l.recvErr.CompareAndSwap(nil, l.blame("receive", l.to, l.from, cause))
	l.mu.Unlock()
	l.from.signal()
	l.notify()
}

// closeSender is Close of the sender's end: what was sent still arrives, in its time. It does not
// wait for a receiver that looks at the sender's memory.
func (l *lane) closeSender() {
	l.mu.Lock()
	l.sendErr.CompareAndSwap(nil, l.blame("send", l.from, l.to, transport.ErrClosed))
	l.own()
	l.closing = true
	l.settle()
	l.mu.Unlock()
	l.notify()
}

// closeReceiver is Close of the receiver's end. A Read under way ends before the lend does.
func (l *lane) closeReceiver() {
	l.mu.Lock()
	l.sendErr.CompareAndSwap(nil, l.blame("send", l.from, l.to, transport.ErrClosed))
	l.recvErr.CompareAndSwap(nil, l.blame("receive", l.to, l.from, transport.ErrClosed))
	l.deserted.Store(true)
	l.showing = false
	l.mu.Unlock()
	l.looked.Broadcast()
	l.asked()
	l.from.signal()
}

func (l *lane) blame(phase string, at, other *Endpoint, cause error) *transport.LinkError {
	e := &transport.LinkError{
		Phase: phase, Rank: at.place.rank, Peer: other.place.rank,
		Address: fmt.Sprintf("inproc:%s/%d", other.place.job, other.place.rank), Err: cause,
	}
	if cause == ErrCut {
		e.Remedy = "heal the link and dial again"
	}
	return e
}
