package transporttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// crew is several goroutines of one rank that share its endpoint, as the contract has it: who wants
// the turn while another is parked calls Wake and goes on at once.
type crew struct {
	at     *end
	frames int

	turn   sync.Mutex
	back   *sync.Cond // the one that was parked has come back
	parked bool
	taken  int
}

// step takes a frame if there is one.
func (c *crew) step() (bool, error) {
	h, err := c.at.link.Next()
	if h == nil || err != nil {
		return false, err
	}
	if *h != *frame(uint64(c.taken), 40) {
		return false, fmt.Errorf("frame %d has the header %+v", c.taken, *h)
	}
	got := make([]byte, 40)
	if err := c.at.readFull(got); err != nil {
		return false, err
	}
	c.taken++
	return true, compare(got, filled(40, uint64(c.taken-1)))
}

func (c *crew) work() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	for c.taken < c.frames {
		if c.parked {
			c.at.endpoint.Wake()
		}
		moved, err := c.step()
		if err != nil {
			return err
		}
		if moved {
			continue
		}
		if c.parked { // another, which is on its way back
			c.back.Wait()
			continue
		}
		c.parked = true
		c.turn.Unlock()
		c.at.endpoint.Wait(time.Time{})
		c.turn.Lock()
		c.parked = false
		c.back.Broadcast()
	}
	return nil
}

func (s *suite) turns(t *testing.T) {
	p := s.pair(t)
	const frames = 300
	c := &crew{at: p.b, frames: frames}
	c.back = sync.NewCond(&c.turn)
	var ended sync.WaitGroup
	errs := make([]error, 4)
	for i := range 3 {
		ended.Go(func() { errs[i] = c.work() })
	}
	ended.Go(func() {
		for i := range uint64(frames) {
			if errs[3] = p.a.send(frame(i, 40), filled(40, i)); errs[3] != nil {
				return
			}
		}
		errs[3] = p.a.flush()
	})
	ended.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// dialBeside dials from other goroutines while one is parked, as the contract allows: a dial needs
// nobody to wake that one.
func (s *suite) dialBeside(t *testing.T) {
	const ranks = 5
	eps := s.open(t, ranks)
	var dials sync.WaitGroup
	errs := make([]error, ranks)
	for peer := 1; peer < ranks; peer++ {
		dials.Go(func() {
			for i := range uint64(3) {
				l, err := eps[0].Dial(t.Context(), peer, eps[peer].Addresses())
				if err != nil {
					errs[peer] = err
					return
				}
				if l.Peer() != peer || l.String() == "" || len(eps[0].Addresses()) == 0 {
					errs[peer] = fmt.Errorf("dial %d reached rank %d", i, l.Peer())
				}
			}
		})
	}
	dials.Go(func() {
		links := 0
		for links < 3 {
			if eps[1].Accept() != nil {
				links++
				continue
			}
			eps[1].Wait(time.Time{})
		}
	})
	parked, unpark := context.WithCancel(t.Context())
	var waits sync.WaitGroup
	waits.Go(func() {
		for parked.Err() == nil { // a Wait may end because of a new link
			eps[0].Wait(time.Time{})
		}
	})
	dials.Wait()
	unpark()
	eps[0].Wake()
	waits.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
