package collective

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// engine moves all calls of all communicators of one process along. Whoever waits for a call leads:
// its goroutine itself reads, reduces and writes, for its own call and for the others', while
// those that wait at the same time follow. Only asynchronous calls that nobody waits for have a
// goroutine of the engine's.
//
// mu is the turn: everything below it belongs to its holder. It is never held while parked.
type engine struct {
	rank int // in the job
	ep   transport.Endpoint
	log  *slog.Logger

	wanted atomic.Int32 // goroutines that wait for the turn

	mu       sync.Mutex
	peers    []*peer // by rank in the job; nil for this rank
	comms    map[uint32]*Comm
	splits   int64 // numbers that this rank has made for communicators
	active   []*call
	patience *transport.Patience
	header   transport.Header // scratch for the frame being sent
	spare    heldMemory
	scratch  scratchMemory
	passes   int
	inTurns  bool // ranks share cores

	leading  bool
	usurped  bool // a goroutine waits for the pump to come back from Wait and leave it the lead
	parked   bool
	pump     pump
	checksum bool
	closed   bool
	host     string
	driver   string // its name
	early    map[uint32]*record
	release  func() error
	open     int // communicators not closed

	watched <-chan struct{} // the Done channel whose end wakes the endpoint
	unwatch func() bool

	background sync.WaitGroup // the pump, and dials under way
	ctx        context.Context
	cancel     context.CancelFunc
}

// enter takes the turn. A leader that is parked must come back first: until then the links are its.
func (e *engine) enter() {
	e.take()
	e.rouse()
}

func (e *engine) take() {
	if !e.mu.TryLock() {
		e.queueUp()
	}
}

func (e *engine) queueUp() {
	e.wanted.Add(1)
	e.mu.Lock()
	e.wanted.Add(-1)
}

func (e *engine) rouse() {
	if e.parked {
		e.ep.Wake()
	}
}

// sweepEvery is how many idle passes go by before peers that no call expects anything of are
// looked at too: they may bring an abort, or a frame of a call that differs from this rank's.
const sweepEvery = 64

// pass moves every active call as far as it goes now.
func (e *engine) pass() (moved bool) {
	for i := 0; i < len(e.active); i++ {
		c := e.active[i]
		if e.step(c) {
			moved = true
		}
		if c.done {
			i = -1 // the list has changed
		}
	}
	e.passes++
	if e.passes%sweepEvery == 0 && e.sweep() {
		moved = true
	}
	return moved
}

// step moves one call along.
func (e *engine) step(c *call) (moved bool) {
	if len(c.ready) > 0 {
		if c.runLocal(); c.done {
			return true
		}
		moved = true
	}
	for i := range c.links {
		cl := &c.links[i]
		if cl.sendAt < len(cl.link.Sends) && e.pumpSends(cl) {
			moved = true
		}
		if cl.ended < cl.sendAt && e.reap(cl.peer) {
			moved = true
		}
		if cl.ch.held.len() > 0 && e.takeHeld(cl.ch) {
			moved = true
		}
		if c.done {
			return true
		}
		if l := cl.ch.from; l != nil && l.expecter != nil && cl.askAt < len(cl.link.Recvs) {
			e.expect(cl, l)
		}
		if cl.listening() && e.poll(cl.peer) {
			moved = true
		}
		if c.done {
			return true
		}
		if len(c.ready) > 0 {
			if c.runLocal(); c.done {
				return true
			}
			moved = true
		}
	}
	if c.remaining == 0 {
		e.finish(c, nil)
		return true
	}
	return moved
}

// sweep looks at everything that is not on a call's way: new links, all peers, control frames.
func (e *engine) sweep() (moved bool) {
	moved = e.welcome()
	for _, p := range e.peers {
		if p == nil || p.err != nil {
			continue
		}
		e.flushControl(p)
		if e.reap(p) {
			moved = true
		}
		if e.poll(p) {
			moved = true
		}
	}
	return moved
}

// welcome takes the links into use that peers have opened.
func (e *engine) welcome() (moved bool) {
	for l := e.ep.Accept(); l != nil; l = e.ep.Accept() {
		e.attach(l)
		moved = true
	}
	return moved
}

// attach takes a new link into use.
func (e *engine) attach(l transport.Link) {
	r := l.Peer()
	if r < 0 || r >= len(e.peers) || e.peers[r] == nil {
		e.log.Warn("link from a rank that is not of this job", "rank", r, "link", l.String())
		_ = l.Close() // nothing was sent on it
		return
	}
	p := e.peers[r]
	if p.err != nil {
		_ = l.Close() // nothing was sent on it
		return
	}
	p.links = append(p.links, newInLink(l))
	if p.out == nil {
		p.use(l)
		e.log.Debug("link open", "rank", e.rank, "peer", r, "link", l.String())
	}
}

// finish ends a call, for good or ill.
func (e *engine) finish(c *call, err error) {
	c.done, c.err = true, err
	if i := slices.Index(e.active, c); i >= 0 {
		e.active = slices.Delete(e.active, i, i+1)
	}
	if c.stop != nil {
		c.stop()
		c.stop = nil
	}
	if c.following > 0 || c.async {
		c.notify()
	}
}

func (c *call) notify() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// post enters a call: from now on its frames are expected, and sent when their turn comes.
func (e *engine) post(c *call) {
	for i := range c.links {
		cl := &c.links[i]
		if cl.sendAt < len(cl.link.Sends) {
			cl.ch.sendQ.push(cl)
		}
		if cl.recvAt < len(cl.link.Recvs) {
			cl.ch.recvQ.push(cl)
		}
		gone := cl.peer.err != nil || len(c.comm.left) > 0 && c.comm.gone(c.comm.rankOf(cl.peer))
		if gone && cl.needs() { // what a peer sent before it went may be enough
			e.unreachable(c.comm, cl.peer)
			break
		}
	}
	c.started = time.Time{}
	if c.comm.planner.priority {
		e.active = slices.Insert(e.active, 0, c)
	} else {
		e.active = append(e.active, c)
	}
	if f := c.comm.failed; f != nil {
		e.finish(c, c.comm.failure())
	}
}

// wait leads or follows until the call is done. It is entered and left with the turn.
func (e *engine) wait(ctx context.Context, c *call) {
	c.waiters++
	for !c.done {
		e.depose()
		if !e.leading {
			e.lead(ctx, c)
			continue
		}
		c.following++
		e.usurped = true
		e.ep.Wake() // the leader must look at what this call has posted
		e.mu.Unlock()
		select {
		case <-c.signal:
		case <-ctx.Done():
		}
		e.enter()
		c.following--
		if !c.done && ctx.Err() != nil {
			e.cancelled(c, ctx.Err())
		}
		if c.done && c.following > 0 {
			c.notify() // one signal wakes one goroutine
		}
		if c.done && !e.leading {
			e.handOver() // the lead may have been offered to this goroutine
		}
	}
	c.waiters--
}

// lead makes progress until the call is done or its context ends.
func (e *engine) lead(ctx context.Context, c *call) {
	e.leading = true
	defer func() { // where a function of the user's ends the goroutine, too
		e.patience.Moved()
		e.stepDown()
	}()
	e.watch(ctx)
	for !c.done {
		if !e.pass() {
			e.idle(ctx, c)
			continue
		}
		e.moved(e.patience)
		// What moves may be others' calls, and go on for ever.
		if e.passes%sweepEvery == 0 && ctx.Err() != nil && !c.done {
			e.cancelled(c, ctx.Err())
		}
	}
}

func (e *engine) stepDown() {
	e.leading = false
	e.handOver()
}

// moved follows a pass that moved something. While a stream goes by it offers the turn to goroutines
// that want to call, or to give up.
func (e *engine) moved(p *transport.Patience) {
	p.Moved()
	if e.passes%sweepEvery == 0 || e.wanted.Load() > 0 {
		e.stamp()
		e.mu.Unlock()
		e.mu.Lock()
	}
}

// stamp notes the time in calls that have none. A call gets it when it has lasted for some passes, or
// waits: reading the clock takes a good part of the time of a small one.
func (e *engine) stamp() {
	for _, c := range e.active {
		if c.started.IsZero() {
			c.started = time.Now()
		}
	}
}

// idle spends the time when nothing moved, as patience tells. c is nil for the pump.
func (e *engine) idle(ctx context.Context, c *call) {
	patience := e.patience
	if c == nil {
		patience = e.pump.patience
	}
	action := patience.Next()
	if action == transport.Spin && e.passes%sweepEvery != 0 {
		return
	}
	e.stamp()
	if err := ctx.Err(); err != nil && c != nil {
		e.cancelled(c, err)
		return
	}
	switch action {
	case transport.Spin:
		e.mu.Unlock() // goroutines with calls of their own may get the turn
		e.mu.Lock()
	case transport.Yield:
		e.mu.Unlock()
		patience.Yield()
		e.mu.Lock()
	case transport.Park:
		if e.settle() {
			return
		}
		deadline := e.nextStatus()
		if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
			deadline = d
		}
		e.parked = true
		e.mu.Unlock()
		e.ep.Wait(deadline)
		e.mu.Lock()
		e.parked = false
		e.sweep()
	}
}

// settle does what must be done before parking: look at everything once, and move frames that
// stand in the way of others to held memory. It reports whether something moved.
func (e *engine) settle() (moved bool) {
	if e.sweep() {
		return true
	}
	for _, p := range e.peers {
		if p == nil || p.err != nil {
			continue
		}
		for _, l := range p.links {
			if l.stalled && e.hold(p, l) {
				moved = true
			}
		}
	}
	e.patient()
	return moved
}

// watch makes the end of ctx wake a parked leader. Watching the same context again is free.
func (e *engine) watch(ctx context.Context) {
	d := ctx.Done()
	if d == e.watched {
		return
	}
	if e.unwatch != nil {
		e.unwatch()
		e.unwatch = nil
	}
	e.watched = d
	if d != nil {
		e.unwatch = context.AfterFunc(ctx, e.ep.Wake)
	}
}
