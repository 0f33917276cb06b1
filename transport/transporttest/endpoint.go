package transporttest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

var endpointTests = []subtest{
	{"AddressesAreShortAndStay", (*suite).addresses},
	{"DialTellsBothWhoIsThere", (*suite).identities},
	{"DialNeedsNoUserCodeOfThePeer", (*suite).dialAlone},
	{"DialErrorsAreLinkErrors", (*suite).dialErrors},
	{"DialEndsWithItsContext", (*suite).dialContext},
	{"DialToClosedEndpointFails", (*suite).dialClosed},
	{"AcceptNeverBlocks", (*suite).acceptNone},
	{"LinksOfCrossingDialsAreApart", (*suite).crossing},
	{"FramesBeforeAccept", (*suite).early},
	{"StringNamesTheLink", (*suite).names},
}

func (s *suite) addresses(t *testing.T) {
	for rank, e := range s.open(t, 3) {
		a := bytes.Clone(e.Addresses())
		if len(a) == 0 || len(a) > 4<<10 {
			t.Errorf("rank %d: %d bytes of addresses", rank, len(a))
		}
		if !bytes.Equal(a, e.Addresses()) {
			t.Errorf("rank %d: the addresses change", rank)
		}
	}
}

func (s *suite) identities(t *testing.T) {
	eps := s.open(t, 4)
	for i := range eps {
		for j := range eps {
			if i != j {
				connect(t, eps, i, j) // compares the peers
			}
		}
	}
}

func (s *suite) dialAlone(t *testing.T) {
	eps := s.open(t, 5)
	for i := 1; i < 5; i++ {
		l, err := eps[i].Dial(context.Background(), 0, eps[0].Addresses())
		if err != nil {
			t.Fatal(err)
		}
		if l.Peer() != 0 {
			t.Fatalf("peer %d", l.Peer())
		}
	}
	seen := map[int]bool{}
	until(t, "four peers", func() bool {
		if l := eps[0].Accept(); l != nil {
			seen[l.Peer()] = true
		}
		return len(seen) == 4
	}, eps[0])
}

func (s *suite) dialErrors(t *testing.T) {
	eps := s.open(t, 3)
	for _, c := range []struct {
		name      string
		peer      int
		addresses []byte
	}{
		{"the address of another rank", 2, eps[1].Addresses()},
		{"this rank", 0, eps[0].Addresses()},
		{"this rank at another's address", 0, eps[1].Addresses()},
		{"a rank out of range", 3, eps[1].Addresses()},
		{"a negative rank", -1, eps[1].Addresses()},
		{"no addresses", 1, nil},
		{"addresses that are none", 1, []byte("\x00\xff\x01rubbish\x80")},
		{"addresses cut short", 1, eps[1].Addresses()[:len(eps[1].Addresses())/2]},
		{"addresses far too long", 1, bytes.Repeat([]byte{'a'}, 1<<20)},
	} {
		l, err := eps[0].Dial(context.Background(), c.peer, c.addresses)
		checkLinkError(t, c.name, err, c.peer)
		if l != nil && err != nil {
			t.Errorf("%s: a link and an error", c.name)
		}
	}
	connect(t, eps, 0, 1) // the endpoints are as good as before
	connect(t, eps, 2, 0)
}

func checkLinkError(t *testing.T, what string, err error, peer int) {
	t.Helper()
	var e *transport.LinkError
	if !errors.As(err, &e) {
		t.Errorf("%s: the error is %T %v, no *transport.LinkError", what, err, err)
		return
	}
	if e.Rank != 0 || e.Peer != peer {
		t.Errorf("%s: the error names rank %d and peer %d, want 0 and %d", what, e.Rank, e.Peer, peer)
	}
	if e.Phase == "" || e.Err == nil {
		t.Errorf("%s: the error has phase %q and cause %v", what, e.Phase, e.Err)
	}
}

func (s *suite) dialContext(t *testing.T) {
	eps := s.open(t, 2)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := eps[0].Dial(ctx, 1, eps[1].Addresses())
	checkLinkError(t, "an ended context", err, 1)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the cause is %v, not that the context was cancelled", err)
	}
	p := connect(t, eps, 0, 1)
	p.put(p.a, frame(1, 0))
	p.take(p.b, frame(1, 0), nil)
}

func (s *suite) dialClosed(t *testing.T) {
	eps := s.open(t, 2)
	addresses := bytes.Clone(eps[1].Addresses())
	if err := eps[1].Close(); err != nil {
		t.Fatal(err)
	}
	l, err := eps[0].Dial(context.Background(), 1, addresses)
	if err != nil {
		checkLinkError(t, "a closed endpoint", err, 1)
	} else {
		until(t, "the link to a closed endpoint to break", func() bool {
			_, err := l.Next()
			return err != nil
		}, eps[0])
	}
	if err := eps[0].Close(); err != nil {
		t.Fatal(err)
	}
	_, err = eps[0].Dial(context.Background(), 1, addresses)
	if !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Dial of a closed endpoint: %v, want ErrClosed", err)
	}
	if l := eps[0].Accept(); l != nil {
		t.Errorf("a closed endpoint accepts %v", l)
	}
}

func (s *suite) acceptNone(t *testing.T) {
	eps := s.open(t, 2)
	for _, e := range eps {
		for range 3 {
			if l := e.Accept(); l != nil {
				t.Fatalf("accepted %v, and nobody has dialled", l)
			}
		}
	}
	connect(t, eps, 0, 1)
	for _, e := range eps {
		if l := e.Accept(); l != nil {
			t.Fatalf("accepted %v after the only link", l)
		}
	}
}

func (s *suite) crossing(t *testing.T) {
	eps := s.open(t, 2)
	p := connect(t, eps, 0, 1)
	q := connect(t, eps, 1, 0)
	for i, x := range []*pair{p, q, p, q} {
		n := uint64(i) * 2
		x.put(x.a, frame(n, 10), filled(10, n))
		x.put(x.b, frame(n+1, 10), filled(10, n+1))
	}
	for i, x := range []*pair{p, q, p, q} {
		n := uint64(i) * 2
		x.take(x.b, frame(n, 10), filled(10, n))
		x.take(x.a, frame(n+1, 10), filled(10, n+1))
	}
}

// early sends before the other end has accepted: as much as the link takes, and at least a frame.
func (s *suite) early(t *testing.T) {
	eps := s.open(t, 2)
	l, err := eps[0].Dial(context.Background(), 1, eps[1].Addresses())
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, eps: eps, a: &end{endpoint: eps[0], link: l}}
	first := filled(100, 7)
	if !p.offer(p.a, frame(7, len(first)), first) {
		t.Fatal("a fresh link does not take a frame")
	}
	until(t, "the link", func() bool {
		if l := eps[1].Accept(); l != nil {
			p.b = &end{endpoint: eps[1], link: l}
		}
		return p.b != nil
	}, eps[1])
	p.take(p.b, frame(7, len(first)), first)
	p.settle(p.a)
}

func (s *suite) names(t *testing.T) {
	p := s.pair(t)
	for _, e := range []*end{p.a, p.b} {
		if strings.TrimSpace(e.link.String()) == "" {
			t.Errorf("the link to rank %d has no description", e.link.Peer())
		}
	}
}
