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

// Bounds of what a Patience spends before it parks. A parked wake-up costs 4 to 70 microseconds, and
// leaves the two threads on one core often enough to make the next waits long. What is learned from
// the waits before moves the budget inside these bounds.
const (
	budgetMin = 100 * time.Microsecond
	budgetMax = 1 * time.Millisecond
	// budgetCrowded is the budget of a process that shares its core with ranks that it waits for. It
	// gives the core away all the while, which keeps none of them from working; but who parks comes
	// back only when the system finds it a turn among all that runs there. Over TCP and shared memory
	// calls of 1 MiB between 4 ranks on two cores take a quarter less by it, and small ones as long.
	budgetCrowded = 2 * time.Millisecond
)

// Bounds of how long a rank spins that should have a core of its own. After that it offers the core:
// something else may run there after all, the peer even. Giving the core away is a system call, during
// which nothing is seen, a microsecond that most waits never last. Where waits end as soon as the
// core is given away, less and less time is spent spinning before; more again where that is not
// what ends them.
const (
	spinMin = 2 * time.Microsecond
	spinMax = 32 * time.Microsecond
)

const (
	// clockEvery is how many passes go by without a look at the clock when they are short: over shared
	// memory one takes as long as that look, and most waits are over after a few. A pass that takes
	// longPass is a system call or more.
	clockEvery = 8
	longPass   = 400 * time.Nanosecond
	// timeless is from how many passes on a clock that stands still from one look at it to the next
	// is taken for a virtual one, on which nothing can happen while anybody looks.
	timeless = 64
)

// Patience decides how to wait, from how long the waits before took, from whether there is a core for
// every rank of this host, and from what has ended the waits. It is used by one goroutine at a time.
type Patience struct {
	crowded    bool // more ranks on this host than cores
	goroutines bool // other ranks are goroutines of this process
	steady     bool // the budget is not learned
	typical    time.Duration
	budget     time.Duration
	spin       time.Duration // how long to spin before the core is offered
	started    time.Time     // when Next first looked at the clock in this wait
	looked     time.Time     // when it last did
	offered    time.Time     // when the core was last offered to goroutines of this process
	quick      int           // waits after each other that less spinning would have done for
	passes     int
	every      int // how many passes are from one look at the clock to the next
	yields     int // in this wait
	spread     spread
}

// NewPatience returns the policy for one of localRanks ranks that share this host's cores; goroutines
// says that they are goroutines of one process.
func NewPatience(localRanks int, goroutines bool) *Patience {
	cores := runtime.NumCPU()
	if goroutines {
		cores = min(cores, runtime.GOMAXPROCS(0))
	}
	p := newPatience(localRanks > cores, goroutines)
	if p.crowded && !goroutines {
		p.budget, p.steady = budgetCrowded, true
	}
	return p
}

// NewPatienceOfMany returns the policy for one of many that mostly wait for nobody in particular, as
// components wait for messages: it never keeps a core, and parks soon.
func NewPatienceOfMany(goroutines bool) *Patience { return newPatience(true, goroutines) }

func newPatience(crowded, goroutines bool) *Patience {
	return &Patience{
		crowded: crowded, goroutines: goroutines,
		budget: 2 * budgetMin, typical: budgetMin, spin: spinMax, every: clockEvery,
	}
}

// How often a core that is given to other threads is offered to goroutines of this process, who may have no
// other. Offering it wakes an idle thread of the Go runtime, where there is one: that costs more than the
// wait is often worth and, where every rank has a core, one of them its core. Where ranks share cores anyway
// it is once in so many passes: every 250 µs, calls of 64 KiB between 4 ranks on two cores took 1.4 to 2.3
// times as long. Why is not known; that the woken thread goes on on the other core is likely.
const (
	offerEvery  = 250 * time.Microsecond
	offerPasses = 64
)

// Yield does what the action of that name asks for.
func (p *Patience) Yield() {
	if p.offers() {
		runtime.Gosched()
		return
	}
	yieldCore()
}

// Turn gives the core to others once, in a wait that does not begin and end with Next and Moved.
func (p *Patience) Turn() {
	if p.goroutines {
		runtime.Gosched()
		return
	}
	yieldCore()
}

// offers reports whether the core is to be offered to goroutines now.
func (p *Patience) offers() bool {
	switch {
	case p.goroutines:
		return true
	case p.crowded:
		return p.passes%offerPasses == 0
	case p.looked.Sub(p.offered) > offerEvery:
		p.offered = p.looked
		return true
	}
	return false
}

// Next is asked each time that there was nothing to do.
func (p *Patience) Next() Action {
	p.passes++
	if !p.crowded && p.yields == 0 {
		if p.passes%p.every != 0 {
			return Spin
		}
	} else if p.yields++; p.yields%4 != 1 {
		return Yield
	}
	now := time.Now()
	still := now.Equal(p.looked) && p.passes >= timeless
	if p.started.IsZero() {
		p.started = now
	} else if p.yields == 0 {
		long := now.Sub(p.looked) > time.Duration(p.every)*longPass
		if p.every = clockEvery; long {
			p.every = 1
		}
	}
	waited := now.Sub(p.started)
	p.looked = now
	switch {
	case still || waited > p.budget:
		return Park
	case p.yields > 0:
		return Yield
	case waited < p.spin:
		return Spin
	}
	p.yields = 1
	return Yield
}

// Moved says that the wait is over: something arrived.
func (p *Patience) Moved() {
	if p.passes == 0 {
		return
	}
	var waited time.Duration // none to speak of when the clock was not read
	if !p.started.IsZero() {
		waited = time.Since(p.started)
	}
	p.learn(waited)
	p.passes, p.yields, p.started = 0, 0, time.Time{}
}

// learn moves the budget, if it moves: about twice a typical wait where that is short enough to be
// worth it, the least where waits are so long that spinning would only burn the core.
func (p *Patience) learn(waited time.Duration) {
	if p.steady {
		return
	}
	p.typical += (min(waited, 4*budgetMax) - p.typical) / 8
	p.budget = max(budgetMin, 2*p.typical)
	if p.budget > budgetMax {
		p.budget = budgetMin
	}
	switch {
	case p.crowded:
	case p.yields == 0 && waited <= p.spin/2 && p.quick < fewQuick:
		// It would have ended so with less spinning, too. Of a call's waits often only one is for a rank
		// that is on the same core. Where that is so there are not many others in a row.
		p.quick++
	case p.yields > 0 && p.yields <= fewYields:
		p.spin, p.quick = max(p.spin/2, spinMin), 0
		if !p.goroutines && p.spread.together() {
			leaveCore()
		}
	default:
		p.spin, p.quick = min(2*p.spin, spinMax), 0
		p.spread.apart()
	}
}

// fewYields is up to how many times the core was given away before something arrived that this is
// taken for the reason of its arrival.
const fewYields = 2

// fewQuick is up to how many quick waits after each other say nothing.
const fewQuick = 16
