package collective

import (
	"slices"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// pump is the goroutine that drives calls that nobody waits for. To wake it takes longer than most calls do
// (20 µs, and between ranks that share cores more), and who has made one mostly waits for it soon. So a call
// does not wake it: while there are any, the pump looks every so often whether one has been left alone.
//
// What is here belongs to the holder of the turn.
type pump struct {
	alive bool
	// leads says that the pump has the lead. Who has the turn while the pump is not parked may take the
	// lead away: the pump finds out when it gets the turn again. Until then it waits by a patience of its
	// own, which nobody else touches.
	leads    bool
	used     bool // a call was left to it since it last looked
	patience *transport.Patience
	// Starting it again and again allocates nothing.
	run   func()
	timer *time.Timer
}

const (
	// The pump looks soon after it was needed, and less and less often where it was not.
	pumpSoon   = 50 * time.Microsecond
	pumpSeldom = 400 * time.Microsecond
	// pumpLooks is how often it looks in vain before it ends.
	pumpLooks = 20
)

// leave sees to it that a call is driven that nobody waits for yet. It is entered with the turn.
func (e *engine) leave(c *call) {
	c.async = true
	e.pump.used = true
	if e.leading {
		e.ep.Wake()
		return
	}
	e.step(c) // what can be sent at once is
	e.attend()
}

// handOver gives the lead to a goroutine that waits for a call of its own or, when there is none
// and there is something to do, to the pump.
func (e *engine) handOver() {
	e.usurped = false
	for _, c := range e.active {
		if c.following > 0 {
			c.notify()
			return
		}
	}
	e.attend()
}

// attend sees to it that a pump looks before long, if there is something to do that nobody else will do.
func (e *engine) attend() {
	if e.deserted() && !e.pump.alive && !e.closed {
		e.pump.alive = true
		if e.pump.run == nil {
			e.pump.run, e.pump.timer = e.runPump, time.NewTimer(pumpSoon)
		}
		e.background.Add(1)
		go e.pump.run()
	}
}

func (e *engine) runPump() {
	defer e.background.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	next, pace := pumpSoon, pumpSoon
	again := false // it looks only whether calls that were new are still there
	timer := e.pump.timer
	ended := false
	defer func() {
		timer.Stop()
		if e.pump.alive = false; !ended { // by a function of the user's
			e.attend()
		}
	}()
	for vain := 0; e.ctx.Err() == nil && vain < pumpLooks; vain++ {
		e.pause(timer, next)
		needed, suspected := e.neglected()
		again = suspected && !again
		switch {
		case needed && !e.leading:
			e.drive()
			pace, next, vain = pumpSoon, pumpSoon, 0
		case again:
			next = pumpSoon
		default:
			pace = min(2*pace, pumpSeldom)
			next = pace
		}
		if e.pump.used {
			e.pump.used, vain = false, 0
		}
	}
	ended = true
}

// pause gives up the turn for a while. Who has the turn then moves the calls along: there is no need to wait
// for it.
func (e *engine) pause(timer *time.Timer, d time.Duration) {
	e.mu.Unlock()
	for range pumpLooks {
		timer.Reset(d)
		select {
		case <-timer.C:
		case <-e.ctx.Done():
		}
		if e.mu.TryLock() {
			return
		}
	}
	e.mu.Lock()
}

// drive leads until nobody needs it any more, or somebody has taken the lead, or wants it.
func (e *engine) drive() {
	e.leading, e.pump.leads = true, true
	defer func() {
		e.pump.patience.Moved()
		if e.pump.leads {
			e.pump.leads = false
			e.stepDown()
		}
	}()
	for e.pump.leads && !e.usurped && e.ctx.Err() == nil && e.pending() {
		if e.pass() {
			e.moved(e.pump.patience)
		} else {
			e.idle(e.ctx, nil)
		}
	}
}

// neglected reports whether there is something to do at once, or a call that the pump sees for the
// second time, and whether there is one that it sees for the first: most are new, and somebody is about to
// wait for them.
func (e *engine) neglected() (needed, suspected bool) {
	needed = !e.leading && e.unflushed() // the links of a leader that is parked are not to be touched
	for _, c := range e.active {
		if c.async {
			needed = needed || c.seen
			suspected = suspected || !c.seen
			c.seen = true
		}
	}
	return needed, suspected
}

// depose takes the lead from the pump, if it has it and is not parked: who is parked must come back first,
// for nobody else may be in Wait meanwhile, and take the wake-up that is for the pump.
func (e *engine) depose() {
	if e.pump.leads && !e.parked {
		e.leading, e.pump.leads = false, false
	}
}

// pending reports whether there are calls that nobody may wait for, or frames to be sent.
func (e *engine) pending() bool {
	return slices.ContainsFunc(e.active, func(c *call) bool { return c.async }) || e.unflushed()
}

// deserted reports whether there are such while nobody leads, who would hand over to a pump.
func (e *engine) deserted() bool { return !e.leading && e.pending() }
