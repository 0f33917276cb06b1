package transport

import (
	"runtime"
	"time"
)

// Action is what a caller with nothing to do should do next.
type Action uint8

// The actions, from the quickest to answer to the most considerate.
const (
	// Spin: look again at once.
	Spin Action = iota
	// Yield: let another thread or goroutine run, then look again.
	Yield
	// Park: block until the endpoint has something.
	Park
)

// Bounds of what a Patience spends before it parks. A parked wake-up costs 4 to 70 microseconds, so
// spinning for about as long never costs more than twice the best choice; what is learned from
// the waits before moves the budget inside these bounds.
const (
	budgetMin = 20 * time.Microsecond
	budgetMax = 1 * time.Millisecond
	// timeless is from how many passes on a clock that stands still from one look at it to the next
	// is taken for a virtual one, on which nothing can happen while anybody looks.
	timeless = 64
)

// Patience decides how to wait, from how long the waits before took and from whether there is a
// core for every rank of this host. It is used by one goroutine at a time.
type Patience struct {
	crowded    bool // more ranks on this host than cores
	goroutines bool // other ranks are goroutines of this process
	typical    time.Duration
	budget     time.Duration
	started    time.Time
	looked     time.Time // when Next last looked at the clock
	passes     int
}

// NewPatience returns the policy for one of localRanks ranks that share this host's cores; goroutines
// says that they are goroutines of one process.
func NewPatience(localRanks int, goroutines bool) *Patience {
	cores := runtime.NumCPU()
	if goroutines {
		cores = min(cores, runtime.GOMAXPROCS(0))
	}
	return &Patience{
		crowded: localRanks > cores, goroutines: goroutines,
		budget: 10 * budgetMin, typical: budgetMin,
	}
}

// goschedEvery is how many times the core is given to other threads for each time that it is offered to
// goroutines of this process. Offering it wakes an idle thread of the Go runtime, which costs more
// than the wait is often worth.
const goschedEvery = 64

// Yield does what the action of that name asks for.
func (p *Patience) Yield() {
	if p.goroutines || p.passes%goschedEvery == 0 {
		runtime.Gosched()
		return
	}
	yieldCore()
}

// Next is asked each time that there was nothing to do.
func (p *Patience) Next() Action {
	p.passes++
	if p.passes == 1 {
		p.started = time.Now()
		if p.crowded {
			return Yield
		}
		return Spin
	}
	if p.passes&3 == 0 {
		now := time.Now()
		still := now.Equal(p.looked) && p.passes >= timeless
		p.looked = now
		if still || now.Sub(p.started) > p.budget {
			return Park
		}
	}
	if p.crowded {
		return Yield
	}
	return Spin
}

// Moved says that the wait is over: something arrived.
func (p *Patience) Moved() {
	if p.passes == 0 {
		return
	}
	p.learn(time.Since(p.started))
	p.passes = 0
}

// learn moves the budget: about twice a typical wait where that is short enough to be worth it, the
// least where waits are so long that spinning would only burn the core.
func (p *Patience) learn(waited time.Duration) {
	p.typical += (min(waited, 4*budgetMax) - p.typical) / 8
	p.budget = max(budgetMin, 2*p.typical)
	if p.budget > budgetMax {
		p.budget = budgetMin
	}
}
