package collective

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// early is a driver whose links write payloads to where they are expected before they are asked
// for, as a device would: the memory is spoilt as soon as it is theirs.
type early struct {
	transport.Driver
	seen *earlySeen
}

// earlySeen counts over all links.
type earlySeen struct {
	expected, placed, elsewhere, reclaimed, left atomic.Int64
}

func (d early) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	ep, err := d.Driver.Open(ctx, c)
	return &earlyEndpoint{ep, d.seen}, err
}

type earlyEndpoint struct {
	transport.Endpoint
	seen *earlySeen
}

func (e *earlyEndpoint) Dial(ctx context.Context, peer int, to []byte) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, to)
	if err != nil {
		return nil, err
	}
	return &earlyLink{Link: l, seen: e.seen}, nil
}

func (e *earlyEndpoint) Accept() transport.Link {
	if l := e.Endpoint.Accept(); l != nil {
		return &earlyLink{Link: l, seen: e.seen}
	}
	return nil
}

// expectation is a frame to come, and where its payload goes.
type expectation struct {
	head transport.Header
	dst  []byte
}

type earlyLink struct {
	transport.Link
	seen   *earlySeen
	open   []expectation
	at     *expectation // the head frame, if it was expected
	got    int          // bytes of it that are there
	taken  int          // of these, how many the caller has taken
	closed bool
}

func (l *earlyLink) Expect(h *transport.Header, dst []byte) bool {
	if l.closed || int(h.Length) != len(dst) || h.Credit != 0 || h.Checksum != 0 {
		panic("what is expected is no frame to come")
	}
	for i := range dst {
		dst[i] = 0xa5
	}
	l.open = append(l.open, expectation{*h, dst})
	l.seen.expected.Add(1)
	l.seen.left.Add(1)
	return true
}

func (l *earlyLink) Next() (*transport.Header, error) {
	if l.at != nil && l.taken == len(l.at.dst) {
		l.at = nil
	}
	if l.at == nil {
		h, err := l.Link.Next()
		if h == nil || err != nil {
			return h, err
		}
		i := slices.IndexFunc(l.open, func(e expectation) bool {
			same := *h
			same.Credit, same.Checksum, same.Flags = 0, 0, h.Flags&^transport.Checksummed
			return e.head == same
		})
		if i < 0 {
			return h, nil
		}
		l.at, l.got, l.taken = &expectation{*h, l.open[i].dst}, 0, 0
		l.open = slices.Delete(l.open, i, i+1)
		l.seen.left.Add(-1)
	}
	for l.got < len(l.at.dst) {
		n, err := l.Link.Read(l.at.dst[l.got:])
		if n == 0 || err != nil {
			return nil, err
		}
		l.got += n
	}
	return &l.at.head, nil
}

func (l *earlyLink) Read(dst []byte) (int, error) {
	if l.at == nil {
		return l.Link.Read(dst)
	}
	n := min(len(dst), len(l.at.dst)-l.taken)
	if from := l.at.dst[l.taken:]; n > 0 && &dst[0] == &from[0] {
		l.seen.placed.Add(1)
	} else {
		copy(dst, from)
		l.seen.elsewhere.Add(1)
	}
	l.taken += n
	return n, nil
}

func (l *earlyLink) Peek() ([]byte, error) {
	if l.at == nil {
		return l.Link.Peek()
	}
	return l.at.dst[l.taken:], nil
}

func (l *earlyLink) Discard(n int) {
	if l.at == nil {
		l.Link.Discard(n)
		return
	}
	l.taken += n
}

func (l *earlyLink) giveBack() {
	l.seen.reclaimed.Add(int64(len(l.open)))
	l.seen.left.Add(-int64(len(l.open)))
	l.open = nil
	if l.at != nil {
		l.at.dst = bytes.Clone(l.at.dst)
	}
}

func (l *earlyLink) Reclaim() {
	l.Link.Reclaim()
	l.giveBack()
}

func (l *earlyLink) Close() error {
	l.closed = true
	l.giveBack()
	return l.Link.Close()
}

// TestMatrixExpected makes calls with every algorithm over links that are told where payloads
// go: none is told of memory that is still in use, and all that they were told of comes.
func TestMatrixExpected(t *testing.T) {
	sizes := []int{2, 3, 4, 5}
	if testing.Short() {
		sizes = []int{3}
	}
	seen := &earlySeen{}
	for _, size := range sizes {
		for round := range matrixAlgorithms() {
			if testing.Short() && round%3 != 0 {
				continue
			}
			s := matrixWorld(grounds[0], size, round)
			s.driver = early{s.driver, seen}
			comms := ranks(t, s)
			for range 2 { // links are told nothing before the first frame
				if err := s.run(comms, round, largeOnes(size, round)); err != nil {
					t.Fatalf("round %d of %d ranks: %v", round, size, err)
				}
			}
			if n := seen.left.Load(); n != 0 {
				t.Fatalf("round %d of %d ranks: %d frames that were expected have not come", round, size, n)
			}
		}
	}
	t.Logf("%d expected, %d found in place, %d read to elsewhere", seen.expected.Load(),
		seen.placed.Load(), seen.elsewhere.Load())
	if n := seen.expected.Load(); n < 50 || seen.placed.Load() != n {
		t.Errorf("%d payloads were expected, %d were found in place", n, seen.placed.Load())
	}
}

// largeOnes is every collective once with a large message.
func largeOnes(size, round int) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		for _, c := range collectives() {
			tops := typedOps(c)
			top := tops[(size+round)%len(tops)]
			v := variant{coll: c, typ: top.typ, op: top.op, size: size, root: round % size}
			v.n, v.shape, v.place = large(c, v.typ, size), even, places[round%len(places)]
			if !yield(v) {
				return
			}
		}
	}
}

// TestExpectedAndGivenUp: when a call has returned, a frame of it that comes late leaves the
// caller's memory alone, by whatever way it was given up.
func TestExpectedAndGivenUp(t *testing.T) {
	const size, delay = 256 << 10, 10 * time.Millisecond
	for name, giveUp := range map[string]func(c *Comm, cancel func()) error{
		"cancelled": func(_ *Comm, cancel func()) error { cancel(); return nil },
		"aborted":   func(c *Comm, _ func()) error { c.Abort(errors.New("enough")); return nil },
		"closed":    func(c *Comm, _ func()) error { return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := &earlySeen{}
				n := inproc.NewNetwork(inproc.Options{})
				opts := []Option{WithAlgorithms("broadcast=binomial")}
				comms, err := setting{size: 2, driver: early{n.Driver(), seen}, opts: opts}.open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				weather(n, 2, inproc.LinkConditions{Delay: delay})
				err = together(comms, func(c *Comm) error {
					other, err := c.Split(t.Context(), 0, c.Rank())
					if err != nil {
						return err
					}
					return errors.Join(lateFrames(t, c, other, size, giveUp), other.Close())
				})
				if err := errors.Join(err, closeAll(comms)); err != nil {
					t.Error(err)
				}
				if seen.placed.Load() == 0 || seen.reclaimed.Load() == 0 || seen.left.Load() != 0 {
					t.Errorf("%d were placed, %d given back, %d are left", seen.placed.Load(),
						seen.reclaimed.Load(), seen.left.Load())
				}
			})
		})
	}
}

// lateFrames has rank 1 give up a broadcast whose frames rank 0 then sends.
func lateFrames(
	t *testing.T, c, other *Comm, size int, giveUp func(c *Comm, cancel func()) error,
) error {
	buf := make([]uint8, size)
	for range 2 {
		if err := Broadcast(t.Context(), c, buf, 0); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if c.Rank() == 0 {
		// By the virtual clock rank 1 has given up by now, and this rank has not heard.
		time.Sleep(2 * time.Millisecond)
		if err := Broadcast(ctx, c, buf, 0); err == nil { // it sends, and then it hears
			return errors.New("a call that rank 1 has given up returns no error")
		}
		return Barrier(t.Context(), other)
	}
	done := make(chan error, 1)
	go func() { done <- Broadcast(ctx, c, buf, 0) }()
	time.Sleep(time.Millisecond)
	err := giveUp(c, cancel)
	if e := <-done; e == nil {
		return errors.New("the call was given up, and it returns no error")
	}
	pattern := bytes.Repeat([]byte{0x3c}, size)
	copy(buf, pattern)
	err = errors.Join(err, Barrier(t.Context(), other))
	if !bytes.Equal(buf, pattern) {
		return errors.New("memory of the caller has changed after the call")
	}
	return err
}
