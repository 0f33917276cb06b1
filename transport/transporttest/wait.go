package transporttest

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

var waitTests = []subtest{
	{"WakeBeforeWait", (*suite).wakeBefore},
	{"WakeFromAnotherGoroutine", (*suite).wakeOther},
	{"DeadlineEndsIt", (*suite).deadline},
	{"FrameEndsIt", (*suite).waitFrame},
	{"PayloadEndsIt", (*suite).waitPayload},
	{"PeerEndsIt", (*suite).waitPeer},
	{"RoomAndReturnedMemoryEndIt", (*suite).waitRoom},
	{"BrokenLinkEndsIt", (*suite).waitBroken},
	{"CloseEndsIt", (*suite).waitClose},
	{"UnaskedBytesEndItAtOnce", (*suite).waitUnasked},
	{"OneFrameAWait", (*suite).oneFrameAWait},
	{"WakeHandsTheTurnOver", (*suite).turns},
	{"DialBesideWait", (*suite).dialBeside},
}

// rounds is how often a test of a race between Wait and what ends it is repeated.
const rounds = 200

// In all these tests a lost wake-up shows as a test that does not end: Wait has no deadline.

func (s *suite) wakeBefore(t *testing.T) {
	e := s.open(t, 1)[0]
	for range rounds {
		e.Wake()
		e.Wait(time.Time{})
	}
	e.Wake()
	e.Wake()
	e.Wait(time.Time{})
}

func (s *suite) wakeOther(t *testing.T) {
	e := s.open(t, 1)[0]
	var woken sync.WaitGroup
	turn := make(chan struct{})
	woken.Go(func() {
		for range turn {
			runtime.Gosched()
			e.Wake()
		}
	})
	for range rounds {
		turn <- struct{}{}
		e.Wait(time.Time{})
	}
	close(turn)
	woken.Wait()
}

func (s *suite) deadline(t *testing.T) {
	p := s.pair(t)
	for _, d := range []time.Duration{-time.Hour, 0, time.Microsecond, 5 * time.Millisecond} {
		p.a.endpoint.Wait(time.Now().Add(d))
	}
}

// apart runs the two functions in a goroutine for each endpoint.
func apart(t *testing.T, a, b func() error) {
	t.Helper()
	var errs [2]error
	var both sync.WaitGroup
	both.Go(func() { errs[0] = a() })
	both.Go(func() { errs[1] = b() })
	both.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// send and receive are for tests with a goroutine for each rank: they wait without a deadline.
func (e *end) send(h *transport.Header, pieces ...[]byte) error {
	for {
		ok, err := e.link.Send(h, two(pieces))
		if err != nil {
			return err
		}
		if ok {
			e.sent++
			return nil
		}
		e.endpoint.Wait(time.Time{})
	}
}

func (e *end) flush() error {
	for {
		n, err := e.link.Sent()
		if err != nil || n == e.sent {
			return err
		}
		e.endpoint.Wait(time.Time{})
	}
}

func (e *end) head() (*transport.Header, error) {
	for {
		h, err := e.link.Next()
		if err != nil || h != nil {
			return h, err
		}
		e.endpoint.Wait(time.Time{})
	}
}

func (e *end) readFull(dst []byte) error {
	for n := 0; n < len(dst); {
		k, err := e.link.Read(dst[n:])
		if err != nil {
			return err
		}
		if n += k; k == 0 {
			e.endpoint.Wait(time.Time{})
		}
	}
	return nil
}

// waitFrame is a ping-pong, so that each end parks while the other works.
func (s *suite) waitFrame(t *testing.T) {
	p := s.pair(t)
	apart(t, func() error {
		for i := range uint64(rounds) {
			if err := errors.Join(p.a.throw(i), p.a.catch(i)); err != nil {
				return err
			}
		}
		return p.a.flush()
	}, func() error {
		for i := range uint64(rounds) {
			if err := errors.Join(p.b.catch(i), p.b.throw(i)); err != nil {
				return err
			}
		}
		return p.b.flush()
	})
}

func (e *end) throw(i uint64) error { return e.send(frame(i, 64), filled(64, i)) }

func (e *end) catch(i uint64) error {
	h, err := e.head()
	if err != nil {
		return err
	}
	if *h != *frame(i, 64) {
		return fmt.Errorf("the header is %+v, want %+v", *h, *frame(i, 64))
	}
	var got [64]byte
	if err := e.readFull(got[:]); err != nil {
		return err
	}
	return compare(got[:], filled(64, i))
}

// waitPayload sends payloads that no link can hold at once.
func (s *suite) waitPayload(t *testing.T) {
	p := s.pair(t)
	size := min(s.much(8<<20), s.options.MaxPayload)
	memory := p.lendable(p.a, p.b, size, 5)
	apart(t, func() error {
		for i := range uint64(4) {
			if err := p.a.send(frame(i, size), memory); err != nil {
				return err
			}
		}
		return p.a.flush()
	}, func() error {
		got := make([]byte, size)
		for range 4 {
			if _, err := p.b.head(); err != nil {
				return err
			}
			if err := p.b.readFull(got); err != nil {
				return err
			}
			if err := compare(got, memory); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *suite) waitPeer(t *testing.T) {
	for range 20 {
		eps := s.open(t, 2)
		var failed atomic.Bool // nobody comes
		apart(t, func() error {
			_, err := eps[0].Dial(t.Context(), 1, eps[1].Addresses())
			if err != nil {
				failed.Store(true)
				eps[1].Wake()
			}
			return err
		}, func() error {
			for eps[1].Accept() == nil && !failed.Load() {
				eps[1].Wait(time.Time{})
			}
			return nil
		})
		for _, e := range eps {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// waitRoom sends much more than the link takes, small and large frames: the sender parks for room,
// then for its memory.
func (s *suite) waitRoom(t *testing.T) {
	for _, size := range []int{0, 100, 50_000} {
		p := s.pair(t)
		memory := p.lendable(p.a, p.b, size, 6)
		frames := uint64(s.much(min(20_000, 64<<20/(size+1))))
		apart(t, func() error {
			for i := range frames {
				if err := p.a.send(frame(1, size), memory); err != nil {
					return err
				}
				if i%1000 == 999 {
					if err := p.a.flush(); err != nil {
						return err
					}
				}
			}
			return p.a.flush()
		}, func() error {
			got := make([]byte, size)
			for range frames {
				if _, err := p.b.head(); err != nil {
					return err
				}
				if err := p.b.readFull(got); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func (s *suite) waitBroken(t *testing.T) {
	for range 20 {
		p := s.pair(t)
		apart(t, func() error { return p.a.endpoint.Close() }, func() error {
			for {
				if _, err := p.b.link.Next(); err != nil {
					return nil
				}
				p.b.endpoint.Wait(time.Time{})
			}
		})
	}
}

func (s *suite) waitClose(t *testing.T) {
	for range 20 {
		e := s.open(t, 1)[0]
		apart(t, func() error { return e.Close() }, func() error {
			e.Wait(time.Time{})
			return nil
		})
	}
}

// waitUnasked: the marker on one link has come, so what was sent before it on others may have come
// as well, and Wait may not park before they were asked.
func (s *suite) waitUnasked(t *testing.T) {
	eps := s.open(t, 4)
	var pairs []*pair
	for i := 1; i < 4; i++ {
		pairs = append(pairs, connect(t, eps, i, 0))
	}
	for i := range uint64(rounds) {
		for _, p := range pairs {
			p.put(p.a, frame(i, 8), filled(8, i))
			p.settle(p.a)
		}
		for _, p := range pairs { // one link for each Wait, the others unasked
			for {
				h, err := p.b.link.Next()
				if err != nil {
					t.Fatal(err)
				}
				if h != nil {
					break
				}
				eps[0].Wait(time.Time{})
			}
			p.take(p.b, frame(i, 8), filled(8, i))
		}
	}
}

// oneFrameAWait takes one frame and then waits, though more may be there.
func (s *suite) oneFrameAWait(t *testing.T) {
	p := s.pair(t)
	const frames = 2000
	apart(t, func() error {
		for i := range uint64(frames) {
			if err := p.a.send(frame(i, int(i%3)*20), filled(int(i%3)*20, i)); err != nil {
				return err
			}
		}
		return p.a.flush()
	}, func() error {
		for n := uint64(0); n < frames; {
			p.b.endpoint.Wait(time.Time{})
			h, err := p.b.link.Next()
			if err != nil {
				return err
			}
			if h == nil {
				continue
			}
			length := int(h.Length)
			if *h != *frame(n, length) {
				return fmt.Errorf("frame %d has the header %+v", n, *h)
			}
			got := make([]byte, length)
			if err := p.b.readFull(got); err != nil {
				return err
			}
			if err := compare(got, filled(length, n)); err != nil {
				return err
			}
			n++
		}
		return nil
	})
}
