package transport

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// await asks p what to do, pass after pass of the given length, until stop says that something has
// arrived. It returns how often it was told what.
func await(p *Patience, pass time.Duration, stop func(told map[Action]int) bool) map[Action]int {
	told := map[Action]int{}
	for !stop(told) {
		told[p.Next()]++
		time.Sleep(pass)
	}
	p.Moved()
	return told
}

func parks(told map[Action]int) bool { return told[Park] > 0 }

// Who has a core spins, then offers it, then parks; who has none never spins.
func TestPatienceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alone := NewPatience(1, false)
		order := []Action{}
		for range 1000 {
			a := alone.Next()
			if len(order) == 0 || order[len(order)-1] != a {
				order = append(order, a)
			}
			if a == Park {
				break
			}
			time.Sleep(time.Microsecond)
		}
		if len(order) != 3 || order[0] != Spin || order[1] != Yield || order[2] != Park {
			t.Errorf("a rank with a core was told %v, want spin, yield, park", order)
		}
		crowded := NewPatience(runtime.NumCPU()+1, false)
		if told := await(crowded, time.Microsecond, parks); told[Spin] > 0 || told[Yield] == 0 {
			t.Errorf("a rank without a core was told %v, want yields only", told)
		}
	})
}

// A rank without a core yields for as long whatever its waits were, unless it mostly waits for nobody
// in particular: then it parks soon.
func TestPatienceOfTheCrowded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rank, component := NewPatience(runtime.NumCPU()+1, false), NewPatienceOfMany(false)
		spent := func(p *Patience) time.Duration {
			start := time.Now()
			for p.Next() != Park {
				time.Sleep(10 * time.Microsecond)
			}
			d := time.Since(start)
			time.Sleep(100 * time.Millisecond)
			p.Moved()
			return d
		}
		for range 20 {
			if d := spent(rank); d < budgetCrowded || d > budgetCrowded+100*time.Microsecond {
				t.Fatalf("a rank without a core parks after %v, want %v", d, budgetCrowded)
			}
			if d := spent(component); d > 2*budgetMin+100*time.Microsecond {
				t.Fatalf("a component parks after %v", d)
			}
		}
	})
}

// On a clock that stands still nothing can arrive while anybody looks.
func TestPatienceParksOnStandingClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ranks := range []int{1, runtime.NumCPU() + 1} {
			if told := await(NewPatience(ranks, false), 0, parks); told[Spin]+told[Yield] > 2*timeless {
				t.Errorf("%d ranks: %v before it parked", ranks, told)
			}
		}
	})
}

// Where giving the core away is what ends the waits, less is spent before; where waits end while
// spinning, as much as at first.
func TestPatienceLearnsToYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPatience(1, true) // no thread is moved
		spins := func() int {
			return await(p, 500*time.Nanosecond, func(told map[Action]int) bool { return told[Yield] > 0 })[Spin]
		}
		first := spins()
		for range 20 {
			spins()
		}
		if last := spins(); last >= first {
			t.Errorf("%d passes before the first yield, and still %d after 20 waits that it ended", first, last)
		}
		quick := func() {
			await(p, 500*time.Nanosecond, func(told map[Action]int) bool { return told[Spin] > 2 })
		}
		for range fewQuick {
			quick()
		}
		if same := spins(); same >= first/4 {
			t.Errorf("%d passes before the first yield after waits that few would do for, want few", same)
		}
		for range 20 {
			await(p, 500*time.Nanosecond, func(told map[Action]int) bool { return told[Yield] > fewYields })
		}
		if again := spins(); again < first*3/4 { // how long a pass takes has to be learned again
			t.Errorf("%d passes before the first yield, want some %d again", again, first)
		}
		for range 20 {
			spins()
		}
		for range 10 * fewQuick {
			quick()
		}
		if again := spins(); again < first*3/4 {
			t.Errorf("%d passes before the first yield after many quick waits, want some %d again", again, first)
		}
	})
}

// Long waits are not worth a busy core; the budget follows those that are short.
func TestPatienceLearnsToPark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPatience(1, true)
		wait := func(d time.Duration) {
			p.Next()
			for start := time.Now(); time.Since(start) < d; {
				p.Next()
				time.Sleep(d / 50)
			}
			p.Moved()
		}
		for range 50 {
			wait(100 * time.Millisecond)
		}
		if p.budget != budgetMin {
			t.Errorf("after long waits it spends %v before it parks, want %v", p.budget, budgetMin)
		}
		for range 50 {
			wait(200 * time.Microsecond)
		}
		if p.budget < 200*time.Microsecond || p.budget > budgetMax {
			t.Errorf("after waits of 200µs it spends %v before it parks", p.budget)
		}
	})
}

// A rank leaves its core after waits that giving it away has ended, one after the other, and not
// again at once.
func TestSpread(t *testing.T) {
	var s spread
	moves := 0
	for range spreadAfter - 1 {
		if s.together() {
			moves++
		}
	}
	s.apart()
	for range spreadAfter - 1 {
		if s.together() {
			moves++
		}
	}
	if moves != 0 {
		t.Fatalf("%d moves before there were %d such waits in a row", moves, spreadAfter)
	}
	for range spreadRest {
		if s.together() {
			moves++
		}
	}
	if moves != 1 {
		t.Errorf("%d moves in %d waits, want 1", moves, spreadRest)
	}
	leaveCore() // wherever this is, it is harmless
}

// A core that is given away is offered to goroutines of the process now and then, though each wait is
// short.
func TestPatienceOffersCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			ranks       int
			lasting     time.Duration // of a wait
			least, most int
		}{
			{1, 150 * time.Microsecond, 10, 20},
			{runtime.NumCPU() + 1, time.Millisecond, 50, 100},
		} {
			p := NewPatience(c.ranks, false)
			offers := 0
			for start := time.Now(); time.Since(start) < 20*offerEvery; p.Moved() {
				for begin := time.Now(); time.Since(begin) < c.lasting; {
					if p.Next() == Yield && p.offers() {
						offers++
					}
					time.Sleep(time.Microsecond)
				}
			}
			if offers < c.least || offers > c.most {
				t.Errorf("%d ranks: in %v it is offered %d times, want %d to %d",
					c.ranks, 20*offerEvery, offers, c.least, c.most)
			}
		}
	})
}
