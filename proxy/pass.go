package proxy

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// traffic is what the engine moves: everything that belongs to the holder of the turn.
type traffic struct {
	proxy  *Proxy
	self   record
	expect map[string]int
	rejoin *Rejoin

	window, maxMessage int64
	compression        Compression

	roster        *roster          // nil until the component has joined
	looking       bool             // the roster is asked to look at the store
	superseded    error            // somebody has taken this component's name
	closing       bool             // nothing new is sent
	peers         map[string]*peer // never forgotten, see here
	byIncarnation map[int]*peer
	links         []*link
	dirty         []*peer // with something to send
	watchers      []*watcher
	sessions      map[ID]*session
	header        transport.Header // scratch for the frame being sent
	seen          seen
	clock         time.Time
	members       atomic.Pointer[members] // for those who do not have the turn
	pool          pool                    // for the bodies of what is received
	stage         stage                   // for large ones of what is sent
	inbox
	counters
}

// counters are for Stats.
type counters struct {
	sentMessages, receivedMessages uint64
	sentBytes, receivedBytes       uint64
	resent, duplicates, late       uint64
}

// now is the time as it was a short while ago: good enough for heartbeats, and free.
func (e *engine) now() time.Time { return e.clock }

// quietPasses is after how many passes without a frame a link is looked at less often, in those
// between two parks.
const (
	quietPasses = 32
	quietEvery  = 16
)

// pass moves everything as far as it goes now.
func (e *engine) pass() (moved bool) {
	e.passes++
	if e.passes%quietEvery == 0 {
		e.clock = time.Now()
		if e.clock.Sub(e.ticked) > tickEvery {
			e.tick()
		}
	}
	all := e.passes == 1 || e.passes%quietEvery == 0
	if all {
		for l := e.ep.Accept(); l != nil; l = e.ep.Accept() {
			e.attach(l)
			moved = true
		}
	}
	for i := 0; i < len(e.links); i++ {
		l := e.links[i]
		if l.quiet > quietPasses && !all {
			continue
		}
		if e.poll(l) {
			moved, l.quiet = true, 0
		} else {
			l.quiet++
		}
	}
	if e.flushDirty() {
		moved = true
	}
	return moved
}

// flushDirty sends what can be sent now, to all.
func (e *engine) flushDirty() (moved bool) {
	e.corked = 0
	for i := 0; i < len(e.dirty); i++ { // it may grow meanwhile
		if e.flush(e.dirty[i]) {
			moved = true
		}
	}
	e.dirty = slices.DeleteFunc(e.dirty, func(p *peer) bool {
		p.listed = p.dirty
		return !p.dirty
	})
	return moved
}

// quiesce looks at everything once before the leader parks, and acknowledges what has come in.
func (e *engine) quiesce() (moved bool) {
	e.clock = time.Now()
	e.passes = 0
	moved = e.pass()
	for i := len(e.links) - 1; i >= 0; i-- { // backwards: one that breaks is taken out
		l := e.links[i]
		if p := l.peer; p != nil && p.out == l {
			e.acknowledge(p)
		}
		done := l.done
		if e.reap(l); l.done > done && l.peer != nil && l.peer.dirty {
			moved = true // perhaps what there is to send has waited for that
		}
	}
	return moved
}
