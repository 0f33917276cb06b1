package collective

import (
	"bytes"
	"context"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// reluctant is a driver whose links do less than they could, at random: they refuse frames, keep what they
// were lent, do not show what has arrived, or a part of it. So calls stop at every place where they can.
type reluctant struct {
	transport.Driver
	seen    *reluctantSeen
	inlines bool // its links are Inliners
}

// reluctantSeen counts over all links.
type reluctantSeen struct{ refused, kept, hidden, cut, spoilt, posted, picked atomic.Int64 }

func (d reluctant) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	ep, err := d.Driver.Open(ctx, c)
	return &reluctantEndpoint{ep, d.seen, d.inlines, rand.New(rand.NewPCG(uint64(c.Rank), uint64(c.Size)))}, err
}

type reluctantEndpoint struct {
	transport.Endpoint
	seen    *reluctantSeen
	inlines bool
	rng     *rand.Rand // under the turn
}

// sometimes is true once in n times, and counts that.
func (e *reluctantEndpoint) sometimes(n int, count *atomic.Int64) bool {
	if e.rng.IntN(n) > 0 {
		return false
	}
	count.Add(1)
	return true
}

func (e *reluctantEndpoint) Dial(ctx context.Context, peer int, to []byte) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, to)
	if err != nil {
		return nil, err
	}
	return e.reluctant(l), nil
}

func (e *reluctantEndpoint) Accept() transport.Link {
	if l := e.Endpoint.Accept(); l != nil {
		return e.reluctant(l)
	}
	return nil
}

func (e *reluctantEndpoint) reluctant(l transport.Link) transport.Link {
	r := reluctantLink{Link: l, e: e}
	if e.inlines {
		return &reluctantInliner{reluctantLink: r}
	}
	return &r
}

// Wait is short: what is kept back may be all that there is.
func (e *reluctantEndpoint) Wait(time.Time) { e.Endpoint.Wait(time.Now().Add(100 * time.Microsecond)) }

// loan is memory that was lent, and what it held.
type loan struct{ memory, was [2][]byte }

type reluctantLink struct {
	transport.Link
	e      *reluctantEndpoint
	loans  []loan
	done   uint64
	hiding int // calls of Next that show nothing
}

func (l *reluctantLink) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if l.e.sometimes(8, &l.e.seen.refused) {
		return false, nil
	}
	ok, err := l.Link.Send(h, pieces)
	if ok {
		l.loans = append(l.loans, loan{pieces, [2][]byte{bytes.Clone(pieces[0]), bytes.Clone(pieces[1])}})
	}
	return ok, err
}

// Sent lets go of a frame at a time.
func (l *reluctantLink) Sent() (uint64, error) {
	n, err := l.Link.Sent()
	for l.done < n && !l.e.sometimes(4, &l.e.seen.kept) {
		for i, m := range l.loans[0].memory {
			if !bytes.Equal(m, l.loans[0].was[i]) {
				l.e.seen.spoilt.Add(1)
			}
		}
		l.loans = l.loans[1:]
		l.done++
	}
	return l.done, err
}

func (l *reluctantLink) Reclaim() {
	l.Link.Reclaim()
	l.loans = make([]loan, len(l.loans)) // it has copies now
}

func (l *reluctantLink) Next() (*transport.Header, error) {
	if l.hiding > 0 {
		l.hiding--
		return nil, nil
	}
	if l.e.sometimes(64, &l.e.seen.hidden) {
		l.hiding = 2 * briefLooks
		return nil, nil
	}
	return l.Link.Next()
}

func (l *reluctantLink) Read(dst []byte) (int, error) {
	if len(dst) > 1 && l.e.sometimes(4, &l.e.seen.cut) {
		dst = dst[:l.e.rng.IntN(len(dst))]
	}
	return l.Link.Read(dst)
}

// Peek cuts where elements of all types end, so that the rest begins at a multiple of 8.
func (l *reluctantLink) Peek() ([]byte, error) {
	b, err := l.Link.Peek()
	if len(b) > 8 && l.e.sometimes(4, &l.e.seen.cut) {
		b = b[:l.e.rng.IntN(len(b))&^7]
	}
	return b, err
}

// reluctantInliner posts and picks by what any link can do, or does not.
type reluctantInliner struct {
	reluctantLink
	head   *transport.Header // has been looked at, and stays: there may be no payload that would keep it
	picked []byte
}

func (*reluctantInliner) Inline() int { return 64 }

func (l *reluctantInliner) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if int(h.Length) <= l.Inline() {
		pieces = [2][]byte{bytes.Clone(pieces[0]), bytes.Clone(pieces[1])}
	}
	return l.reluctantLink.Send(h, pieces)
}

func (l *reluctantInliner) Post(h *transport.Header, payload []byte) bool {
	if len(payload) > l.Inline() {
		return false
	}
	ok, err := l.Send(h, [2][]byte{payload})
	if ok {
		l.e.seen.posted.Add(1)
	}
	return ok && err == nil
}

func (l *reluctantInliner) Next() (*transport.Header, error) {
	if h := l.head; h != nil {
		l.head = nil
		return h, nil
	}
	return l.reluctantLink.Next()
}

func (l *reluctantInliner) Pick(want *transport.Header) ([]byte, uint32, bool) {
	h, err := l.Next()
	if h == nil || err != nil {
		return nil, 0, false // an error stays
	}
	here := *h
	l.head = &here
	h = &transport.Header{}
	*h = here
	h.Credit, h.Checksum = want.Credit, want.Checksum
	if *h != *want || int(h.Length) > l.Inline() {
		return nil, 0, false
	}
	if h.Length > 0 {
		b, err := l.Link.Peek()
		if err != nil || len(b) < int(h.Length) {
			return nil, 0, false
		}
		l.picked = append(l.picked[:0], b...)
		l.Link.Discard(len(b))
	}
	l.head = nil
	l.e.seen.picked.Add(1)
	return l.picked[:h.Length], here.Credit, true
}

// TestBriefCallsStopAnywhere makes calls with every algorithm over links that keep back what they have:
// whatever a brief call has done until it stops counts for the call that goes on.
func TestBriefCallsStopAnywhere(t *testing.T) {
	sizes, calls := []int{2, 3, 5}, 27
	if testing.Short() {
		sizes, calls = []int{5}, 18
	}
	seen := &reluctantSeen{}
	for _, size := range sizes {
		for k := range 2 * matrixAlgorithms() {
			round := k / 2
			s := matrixWorld(grounds[0], size, round)
			s.driver = reluctant{s.driver, seen, k%2 > 0}
			comms := ranks(t, s)
			for _, c := range comms {
				c.e.inTurns = false
			}
			for range 3 { // the first call of each link is none of these
				if err := s.run(comms, round, brieflyOf(size, round, calls)); err != nil {
					t.Fatalf("round %d of %d ranks: %v", round, size, err)
				}
			}
		}
	}
	t.Logf("%d frames refused, %d kept, %d hidden, %d payloads cut, %d frames posted, %d picked", seen.refused.Load(),
		seen.kept.Load(), seen.hidden.Load(), seen.cut.Load(), seen.posted.Load(), seen.picked.Load())
	for _, n := range []*atomic.Int64{&seen.refused, &seen.kept, &seen.hidden, &seen.cut, &seen.posted, &seen.picked} {
		if n.Load() < 50 {
			t.Error("the links have kept back too little")
		}
	}
	if n := seen.spoilt.Load(); n > 0 {
		t.Errorf("%d payloads were changed while they were lent", n)
	}
}

// brieflyOf draws calls of few bytes.
func brieflyOf(size, round, n int) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		for v := range someOf(size, round, n) {
			if v.n*v.typ.Size() <= briefBytes && !yield(v) {
				return
			}
		}
	}
}
