package transporttest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/transport"
)

var breakTests = []subtest{
	{"FramesBeforeCloseAreRead", (*suite).readAfterClose},
	{"CloseOfTheEndpointClosesItsLinks", (*suite).closeEndpoint},
	{"CloseInTheMiddleOfAFrame", (*suite).closeMiddle},
	{"ErrorsStay", (*suite).sticky},
	{"OtherLinksLiveOn", (*suite).others},
	{"ASecondLinkGoesRoundAFullOne", (*suite).beside},
	{"CloseTwice", (*suite).closeTwice},
	{"CloseWhileAllWork", (*suite).closeBusy},
	{"CloseLeavesNoGoroutine", (*suite).noGoroutines},
}

// broken waits until Next of the link returns an error, and checks its kind.
func broken(t *testing.T, at *end) error {
	t.Helper()
	var err error
	until(t, "the link to break", func() bool {
		_, err = at.link.Next()
		return err != nil
	}, at.endpoint)
	var link *transport.LinkError
	if !errors.Is(err, transport.ErrClosed) && !errors.As(err, &link) {
		t.Fatalf("a closed link's error is %T %v: neither ErrClosed nor a *LinkError", err, err)
	}
	return err
}

func checkFrameError(t *testing.T, err error) {
	t.Helper()
	var e *transport.FrameError
	if !errors.As(err, &e) {
		t.Fatalf("the error is %T %v, no *transport.FrameError", err, err)
	}
}

func (s *suite) readAfterClose(t *testing.T) {
	p := s.pair(t)
	const frames = 5
	for i := range uint64(frames) {
		p.put(p.a, frame(i, 100), filled(100, i))
	}
	p.settle(p.a)
	if err := p.a.link.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(frames) {
		p.leftover(p.b, frame(i, 100), filled(100, i))
	}
	broken(t, p.b)
}

// leftover is take when the other end has closed.
func (p *pair) leftover(at *end, want *transport.Header, payload []byte) {
	p.t.Helper()
	var h *transport.Header
	until(p.t, "a frame sent before Close", func() bool {
		var err error
		if h, err = at.link.Next(); err != nil {
			p.t.Fatalf("frame %d was lost: %v", want.Seq, err)
		}
		return h != nil
	}, at.endpoint)
	p.same(h, want)
	got, n := make([]byte, len(payload)), 0
	until(p.t, "its payload", func() bool {
		k, err := at.link.Read(got[n:])
		if err != nil {
			p.t.Fatal(err)
		}
		n += k
		return n == len(got)
	}, at.endpoint)
	p.equal(got, payload)
}

// beside goes round a link that is full, on a second one that closes at once.
func (s *suite) beside(t *testing.T) {
	eps := s.open(t, 2)
	p := connect(t, eps, 0, 1)
	const size = 1 << 20
	memory := p.lendable(p.a, p.b, size, 1)
	n := p.overfill(p.a, memory)
	q := connect(t, eps, 0, 1)
	last := filled(500, 7)
	q.put(q.a, frame(7, len(last)), last)
	if err := q.a.link.Close(); err != nil {
		t.Fatal(err)
	}
	q.leftover(q.b, frame(7, len(last)), last)
	broken(t, q.b)
	for i := range n { // the first is as it was
		p.take(p.b, frame(i, size), memory)
	}
	p.settle(p.a)
}

func (s *suite) closeEndpoint(t *testing.T) {
	eps := s.open(t, 3)
	p, q := connect(t, eps, 0, 1), connect(t, eps, 2, 0)
	if err := eps[0].Close(); err != nil {
		t.Fatal(err)
	}
	broken(t, p.b)
	broken(t, q.a)
	for _, l := range []transport.Link{p.a.link, q.b.link} {
		if _, err := l.Send(frame(1, 0), two(nil)); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Send after Close of the endpoint: %v, want ErrClosed", err)
		}
		if _, err := l.Next(); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Next after Close of the endpoint: %v, want ErrClosed", err)
		}
	}
	eps[0].Wait(time.Time{}) // does not park for ever
}

// closeMiddle closes while frames are under way and lent. Whole frames may come, in order; a cut
// one never looks whole.
func (s *suite) closeMiddle(t *testing.T) {
	p := s.pair(t)
	const size = 1 << 20
	memory := p.lendable(p.a, p.b, size, 1)
	n := p.overfill(p.a, memory)
	p.take(p.b, frame(0, size), memory)
	p.a.link.Reclaim()
	if err := p.a.link.Close(); err != nil {
		t.Fatal(err)
	}
	clear(memory)
	want := filled(size, 1)
	seq, got, at := uint64(1), make([]byte, size), 0
	until(t, "the end of the link", func() bool {
		h, err := p.b.link.Next()
		if err != nil {
			return true
		}
		if h == nil {
			return false
		}
		p.same(h, frame(seq, size))
		k, err := p.b.link.Read(got[at:])
		at += k
		if at == size {
			p.equal(got, want)
			seq, at = seq+1, 0
		}
		return err != nil
	}, p.b.endpoint)
	if seq > n {
		t.Fatalf("%d frames came out of a link that took %d", seq, n)
	}
	broken(t, p.b)
}

func (s *suite) sticky(t *testing.T) {
	p := s.pair(t)
	if err := p.a.endpoint.Close(); err != nil {
		t.Fatal(err)
	}
	first := broken(t, p.b)
	for range 3 {
		if _, err := p.b.link.Next(); err != first {
			t.Fatalf("Next: %v, then %v", first, err)
		}
	}
	if b, err := p.b.link.Peek(); len(b) > 0 || err == nil {
		t.Errorf("Peek of a broken link: %d bytes, %v", len(b), err)
	}
	if n, err := p.b.link.Read(make([]byte, 8)); n > 0 || err == nil {
		t.Errorf("Read of a broken link: %d bytes, %v", n, err)
	}
	var lost error
	payload := filled(64<<10, 1)
	until(t, "Send to a closed link to fail", func() bool {
		_, err := p.b.link.Sent()
		if err == nil {
			_, err = p.b.link.Send(frame(1, len(payload)), two([][]byte{payload}))
		}
		lost = err
		return err != nil
	}, p.b.endpoint)
	for range 3 {
		if ok, err := p.b.link.Send(frame(1, 0), two(nil)); ok || err != lost {
			t.Fatalf("Send: %v, then %v, %v", lost, ok, err)
		}
	}
	if _, err := p.b.link.Sent(); err != lost {
		t.Fatalf("Sent after %v: %v", lost, err)
	}
	p.b.link.Reclaim()
}

func (s *suite) others(t *testing.T) {
	eps := s.open(t, 3)
	p, q := connect(t, eps, 0, 1), connect(t, eps, 0, 2)
	if err := p.b.link.Close(); err != nil {
		t.Fatal(err)
	}
	broken(t, p.a)
	for i := range uint64(10) {
		for _, way := range q.both() {
			q.put(way[0], frame(i, 5000), filled(5000, i))
			q.take(way[1], frame(i, 5000), filled(5000, i))
		}
	}
	r := connect(t, eps, 0, 1) // and a new one in place of the old
	r.put(r.a, frame(1, 0))
	r.take(r.b, frame(1, 0), nil)
}

func (s *suite) closeTwice(t *testing.T) {
	p := s.pair(t)
	for range 2 {
		if err := p.a.link.Close(); err != nil {
			t.Errorf("Close of the link: %v", err)
		}
	}
	for range 2 {
		if err := p.a.endpoint.Close(); err != nil {
			t.Errorf("Close of the endpoint: %v", err)
		}
	}
}

// closeBusy closes each endpoint from another goroutine while its own works: every method returns,
// and errors end the work.
func (s *suite) closeBusy(t *testing.T) {
	for round := range 20 {
		p := s.pair(t)
		var working, ended sync.WaitGroup
		for _, e := range []*end{p.a, p.b} {
			working.Add(1)
			ended.Go(func() {
				payload := filled(20_000, 1)
				for n := 0; ; n++ {
					if n == round {
						working.Done()
					}
					if _, err := e.link.Send(frame(1, len(payload)), two([][]byte{payload})); err != nil {
						break
					}
					if !receiveSome(e, payload) {
						break
					}
					if n > round {
						e.endpoint.Wait(time.Time{})
					}
				}
				e.link.Reclaim()
				for n := 0; n < round; n++ { // in case it ended before
					_, _ = e.link.Next()
				}
			})
		}
		go func() {
			for _, e := range []*end{p.a, p.b} {
				e.endpoint.Wake()
			}
		}()
		working.Wait()
		for _, e := range []*end{p.a, p.b} {
			if err := e.endpoint.Close(); err != nil {
				t.Fatal(err)
			}
		}
		ended.Wait()
	}
}

// receiveSome takes what is there; false when the link is broken.
func receiveSome(e *end, payload []byte) bool {
	h, err := e.link.Next()
	if err != nil {
		return false
	}
	if h != nil {
		if _, err := e.link.Read(make([]byte, h.Length)); err != nil {
			return false
		}
	}
	_, err = e.link.Sent()
	return err == nil
}

func (s *suite) noGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	eps := s.open(t, 4)
	for i := range eps {
		for j := range i {
			p := connect(t, eps, i, j)
			p.put(p.a, frame(1, 100_000), p.lendable(p.a, p.b, 100_000, 1))
			if j == 0 {
				p.take(p.b, frame(1, 100_000), filled(100_000, 1))
			}
		}
	}
	for _, e := range eps {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	goleak.VerifyNone(t, before)
}
