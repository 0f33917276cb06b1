package proxy

import (
	"context"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/internal/stack"
	"github.com/tutti-ml/tutti/transport"
)

// engine moves the messages of one proxy. Whoever waits leads: its goroutine itself reads and
// writes, for its own call and for the others', while those that wait at the same time follow. When
// nobody waits, or many do, the engine's own goroutine, the pump, leads, so that messages are taken
// and acknowledged while the application computes.
//
// mu is the turn: everything below it belongs to its holder. It is never held while parked.
type engine struct {
	ep   transport.Endpoint
	log  *slog.Logger
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	gone chan struct{} // closed when Close is done

	wanting atomic.Int32 // goroutines that want the turn
	mu      sync.Mutex

	assembled bool      // Join has ended: the peers that it waits for are there
	leading   bool      // somebody moves the messages
	pumping   bool      // it is the pump
	usurped   bool      // the one who waits wants to lead in place of the pump
	woken     int       // followers, by the leader, that have not had their turn since
	corked    int       // messages posted that wait for the next flush
	took      time.Time // when the application took one message of several
	parked    bool      // the leader is, in ep.Wait
	closed    bool
	followers []*waiter
	patience  *transport.Patience
	passes    int
	ticked    time.Time

	kick       chan struct{} // tells the pump that it may be needed
	doze       *time.Timer   // kicks a while after the last one has left
	background sync.WaitGroup

	watched <-chan struct{} // the Done channel whose end wakes the endpoint
	unwatch func() bool

	traffic
}

func newEngine(p *Proxy, ep transport.Endpoint, self record) *engine {
	e := &engine{
		ep: ep, log: p.c.logger.With("component", self.Name), kick: make(chan struct{}, 1),
		gone: make(chan struct{}),
		// As if there were more components than cores: a look between two yields costs little where there
		// are not, and a spinning master keeps the core from its worker, or from others, where there are.
		patience: transport.NewPatienceOfMany(p.c.driver.Name() == "inproc"),
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.stage.log = e.log
	e.stage.special, _ = ep.(transport.Allocator)
	// The pump begins when the turn has first been left, with the component in the group: until then
	// nobody can have sent anything, and a parked thread would hold one of the scheduler's places.
	e.doze = time.AfterFunc(math.MaxInt64, e.wakePump)
	e.proxy, e.self, e.expect, e.rejoin = p, self, p.c.expect, p.c.rejoin
	e.window, e.maxMessage, e.compression = p.c.window, p.c.maxMessage, p.c.compression
	e.peers, e.byIncarnation, e.sessions = map[string]*peer{}, map[int]*peer{}, map[ID]*session{}
	e.clock = time.Now()
	e.publish()
	e.slots = map[ID]*slot{}
	e.background.Go(e.pump)
	return e
}

// dozeTime is how long after a call the pump takes over. A caller that calls again before that pays
// for no hand-over.
const dozeTime = time.Millisecond

// waiter is a goroutine that waits for something that the engine will do.
type waiter struct {
	done   atomic.Bool // and what was waited for, err too, will not change any more
	err    error
	signal chan struct{} // made by who follows
	at     int           // its place among the followers, counted from 1; 0 is none
}

// finish ends a wait. The turn is held.
func (e *engine) finish(w *waiter, err error) {
	if w.done.Load() {
		return
	}
	w.err = err
	w.done.Store(true)
	if w.at > 0 {
		e.unfollow(w)
		e.woken++
		w.notify()
	}
}

func (w *waiter) notify() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// enter takes the turn. A leader that is parked must come back first: until then the links are its.
func (e *engine) enter() {
	if !e.mu.TryLock() {
		e.wanting.Add(1)
		e.mu.Lock()
		e.wanting.Add(-1)
	}
	if e.parked {
		e.ep.Wake()
	}
}

// leave gives the turn back, and sees to it that somebody will lead: who wants the turn does, when
// there is somebody.
func (e *engine) leave() {
	if !e.leading && !e.closed && e.wanting.Load() == 0 {
		switch len(e.followers) {
		case 0:
			if e.corked == 0 && e.unfinished() {
				e.wakePump()
			} else {
				e.doze.Reset(dozeTime)
			}
		case 1:
			e.followers[0].notify()
		default:
			e.wakePump()
		}
	}
	e.mu.Unlock()
}

// unfinished says whether something waits for a link to take it, or to have sent it.
func (e *engine) unfinished() bool {
	if slices.ContainsFunc(e.dirty, func(p *peer) bool { return p.dirty }) {
		return true
	}
	for i := 0; i < len(e.links); i++ { // reap may take one out
		l := e.links[i]
		if e.reap(l); l.taken > l.done && !l.closed && !l.theirs() {
			return true
		}
	}
	return false
}

func (e *engine) wakePump() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// wait leads or follows until w is done, ctx ends or the proxy is closed. It is entered and left
// with the turn.
func (e *engine) wait(ctx context.Context, w *waiter) error {
	held, err := e.await(ctx, w)
	if !held {
		e.enter()
	}
	return err
}

// await is wait, but when somebody else has finished w it returns without the turn, and says so:
// many that are finished at once need not queue for it.
func (e *engine) await(ctx context.Context, w *waiter) (held bool, err error) {
	for !w.done.Load() {
		switch {
		case e.closed:
			return true, ErrClosed
		case ctx.Err() != nil:
			return true, context.Cause(ctx)
		case !e.leading:
			e.lead(ctx, w)
		default:
			if !e.follow(ctx, w) {
				return false, w.err
			}
		}
	}
	return true, w.err
}

// lead makes progress until w is done or ctx ends.
func (e *engine) lead(ctx context.Context, w *waiter) {
	e.leading = true
	e.doze.Stop()
	e.watch(ctx)
	e.flushDirty()
	for !w.done.Load() && !e.closed {
		if e.pass() {
			e.moved()
			if e.passes%64 == 0 && ctx.Err() != nil {
				break
			}
			continue
		}
		if !e.idle(ctx) {
			break
		}
	}
	e.patience.Moved()
	e.leading = false
}

// follow waits for whoever leads, until w is done or the lead is offered. Done, it returns without
// the turn, and false.
func (e *engine) follow(ctx context.Context, w *waiter) bool {
	if w.signal == nil {
		w.signal = make(chan struct{}, 1)
	}
	e.followers = append(e.followers, w)
	w.at = len(e.followers)
	if e.pumping && len(e.followers) == 1 {
		e.usurped = true
	}
	e.mu.Unlock()
	select {
	case <-w.signal:
	case <-ctx.Done():
	}
	if w.done.Load() {
		return false
	}
	e.enter()
	if w.at > 0 {
		e.unfollow(w)
	}
	return true
}

// unfollow takes w from the followers; their order means nothing.
func (e *engine) unfollow(w *waiter) {
	last := len(e.followers) - 1
	moved := e.followers[last]
	e.followers[w.at-1], moved.at = moved, w.at
	e.followers[last] = nil
	e.followers = e.followers[:last]
	w.at = 0
}

// pump leads when nobody else does.
func (e *engine) pump() {
	stack.Deepen()
	for {
		select {
		case <-e.ctx.Done():
			return
		case <-e.kick:
		}
		e.enter()
		if !e.leading && !e.closed {
			e.leadAlone()
		}
		e.leave()
	}
}

func (e *engine) leadAlone() {
	e.leading, e.pumping = true, true
	e.watch(e.ctx)
	for !e.closed && !(e.usurped && len(e.followers) == 1) {
		e.usurped = false
		if e.pass() {
			e.moved()
			continue
		}
		if len(e.followers) == 0 {
			e.park(e.ctx)
		} else if !e.idle(e.ctx) {
			break
		}
	}
	e.usurped, e.leading, e.pumping = false, false, false
}

// moved follows a pass that moved something. It offers the turn to goroutines that want it, and to
// those that were woken: what they send then goes out together.
func (e *engine) moved() {
	e.patience.Moved()
	if e.woken > 0 || e.wanting.Load() > 0 {
		e.woken = 0
		e.offer()
	}
}

// idle spends the time when nothing moved, as patience tells, and says whether to go on. Who joins
// parks at once: its peers, and the roster, have much to do on the same cores.
func (e *engine) idle(ctx context.Context) bool {
	action := transport.Park
	if e.assembled {
		action = e.patience.Next()
	}
	if action == transport.Spin && e.passes%16 != 0 && e.wanting.Load() == 0 {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	if action == transport.Park {
		e.park(ctx)
		return true
	}
	e.mu.Unlock()
	if e.wanting.Load() > 0 {
		runtime.Gosched()
	} else {
		e.patience.Yield()
	}
	e.mu.Lock()
	return true
}

// park waits in the endpoint, after everything has been looked at.
func (e *engine) park(ctx context.Context) {
	if e.quiesce() || e.wanting.Load() > 0 && e.offer() {
		return
	}
	deadline := e.tick()
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	e.parked = true
	e.mu.Unlock()
	e.ep.Wait(deadline)
	e.mu.Lock()
	e.parked = false
	e.passes = 0 // look at all links
}

// offer lets a goroutine that wants the turn have it, and says that something may have changed.
func (e *engine) offer() bool {
	e.mu.Unlock()
	runtime.Gosched()
	e.mu.Lock()
	return true
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
