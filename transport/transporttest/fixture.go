package transporttest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// poll is how long a test with one goroutine for several endpoints parks in one of them. It costs
// time when too long and decides nothing.
const poll = 200 * time.Microsecond

// until calls done until it says true, and parks in the endpoints in between.
func until(t testing.TB, what string, done func() bool, endpoints ...transport.Endpoint) {
	t.Helper()
	limit, limited := time.Time{}, false
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		limit, limited = d.Deadline()
	}
	for !done() {
		if limited && time.Until(limit) < 5*time.Second {
			t.Fatalf("waited to the end of the test binary's time for: %s", what)
		}
		for _, e := range endpoints {
			e.Wait(time.Now().Add(poll))
		}
	}
}

// end is one end of a link, with the endpoint that has it.
type end struct {
	endpoint transport.Endpoint
	link     transport.Link
	sent     uint64 // frames that Send has taken
}

// pair is two ranks with a link between them, driven by one goroutine.
type pair struct {
	t    testing.TB
	a, b *end // a has dialled
	eps  []transport.Endpoint
}

func (s *suite) pair(t *testing.T) *pair {
	t.Helper()
	return connect(t, s.open(t, 2), 0, 1)
}

// connect lets rank i dial rank j.
func connect(t testing.TB, eps []transport.Endpoint, i, j int) *pair {
	t.Helper()
	dialed, err := eps[i].Dial(context.Background(), j, eps[j].Addresses())
	if err != nil {
		t.Fatalf("rank %d dials rank %d: %v", i, j, err)
	}
	var accepted transport.Link
	until(t, fmt.Sprintf("the link from rank %d at rank %d", i, j), func() bool {
		accepted = eps[j].Accept()
		return accepted != nil
	}, eps[j])
	if dialed.Peer() != j || accepted.Peer() != i {
		t.Fatalf("rank %d dialled %d: its link has peer %d, the other end's %d",
			i, j, dialed.Peer(), accepted.Peer())
	}
	return &pair{
		t: t, eps: []transport.Endpoint{eps[i], eps[j]},
		a: &end{endpoint: eps[i], link: dialed}, b: &end{endpoint: eps[j], link: accepted},
	}
}

// both returns the ends in both orders, so that a test runs in both directions.
func (p *pair) both() [][2]*end { return [][2]*end{{p.a, p.b}, {p.b, p.a}} }

// progress moves along what both ends have to send.
func (p *pair) progress() {
	for _, e := range []*end{p.a, p.b} {
		if _, err := e.link.Sent(); err != nil {
			p.t.Fatalf("Sent of the link to rank %d: %v", e.link.Peer(), err)
		}
	}
}

// until is until with progress on both ends.
func (p *pair) until(what string, done func() bool) {
	p.t.Helper()
	until(p.t, what, func() bool {
		p.progress()
		return done()
	}, p.eps...)
}

// offer calls Send once.
func (p *pair) offer(from *end, h *transport.Header, pieces ...[]byte) bool {
	p.t.Helper()
	ok, err := from.link.Send(h, two(pieces))
	if err != nil {
		p.t.Fatalf("Send of %d bytes: %v", h.Length, err)
	}
	if ok {
		from.sent++
	}
	return ok
}

// put calls Send until the link has the frame.
func (p *pair) put(from *end, h *transport.Header, pieces ...[]byte) {
	p.t.Helper()
	p.until("Send to take a frame", func() bool { return p.offer(from, h, pieces...) })
}

// next waits for a frame at the head.
func (p *pair) next(at *end) *transport.Header {
	p.t.Helper()
	var h *transport.Header
	p.until("a frame", func() bool {
		var err error
		if h, err = at.link.Next(); err != nil {
			p.t.Fatalf("Next: %v", err)
		}
		return h != nil
	})
	return h
}

// read reads len(dst) bytes of the head frame.
func (p *pair) read(at *end, dst []byte) {
	p.t.Helper()
	n := 0
	p.until("a payload", func() bool {
		if n < len(dst) {
			k, err := at.link.Read(dst[n:])
			if err != nil {
				p.t.Fatalf("Read: %v", err)
			}
			n += k
		}
		return n == len(dst)
	})
}

// take waits for a frame and reads it, and compares it with what was sent.
func (p *pair) take(at *end, want *transport.Header, payload []byte) {
	p.t.Helper()
	p.rest(at, p.next(at), want, payload)
}

// rest is take when Next has shown the frame.
func (p *pair) rest(at *end, h, want *transport.Header, payload []byte) {
	p.t.Helper()
	p.same(h, want)
	got := make([]byte, h.Length)
	p.read(at, got)
	p.equal(got, payload)
}

func (p *pair) same(got, want *transport.Header) {
	p.t.Helper()
	if *got != *want {
		p.t.Fatalf("the header is\n%+v, want\n%+v", *got, *want)
	}
}

func (p *pair) equal(got, want []byte) {
	p.t.Helper()
	if err := compare(got, want); err != nil {
		p.t.Fatal(err)
	}
}

// settle waits until no memory is lent any more.
func (p *pair) settle(from *end) {
	p.t.Helper()
	p.until("Sent to count all frames", func() bool {
		n, err := from.link.Sent()
		if err != nil {
			p.t.Fatalf("Sent: %v", err)
		}
		if n > from.sent {
			p.t.Fatalf("Sent counts %d of %d frames", n, from.sent)
		}
		return n == from.sent
	})
}

func compare(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	if len(got) != len(want) {
		return fmt.Errorf("the payload has %d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d of %d is %#x, want %#x", i, len(got), got[i], want[i])
		}
	}
	return nil
}

func two(pieces [][]byte) (r [2][]byte) {
	copy(r[:], pieces)
	return r
}

// frame makes the n-th header of a test, every field of which n decides.
func frame(n uint64, length int) *transport.Header {
	g := rand.New(rand.NewPCG(n, 1))
	h := &transport.Header{
		Kind: transport.Data, Flags: transport.Flags(g.Uint32()), Epoch: g.Uint32(), Comm: g.Uint32(),
		Seq: n, Step: g.Uint32(), Length: uint32(length), Credit: g.Uint32(), Checksum: g.Uint32(),
	}
	for i := 0; i < transport.FingerprintBytes; i += 8 {
		binary.LittleEndian.PutUint64(h.Fingerprint[i:], g.Uint64())
	}
	return h
}

// fill writes the bytes that the seed decides.
func fill(b []byte, seed uint64) []byte {
	g := rand.NewPCG(seed, 2)
	i := 0
	for ; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], g.Uint64())
	}
	for last := g.Uint64(); i < len(b); i, last = i+1, last>>8 {
		b[i] = byte(last)
	}
	return b
}

// lendable returns filled bytes for an end to lend: memory of its endpoint's own kind where that is a
// transport.Allocator, and the other end has taken frames of it, as it has of all memory that is used
// again.
func (p *pair) lendable(from, to *end, n int, seed uint64) []byte {
	p.t.Helper()
	special, ok := from.endpoint.(transport.Allocator)
	if !ok || n == 0 {
		return filled(n, seed)
	}
	b, err := special.Alloc(n)
	if err != nil {
		p.t.Fatalf("Alloc of %d bytes: %v", n, err)
	}
	for i := range uint64(3) {
		p.put(from, frame(i, n), fill(b, i))
		p.take(to, frame(i, n), b)
		p.settle(from)
	}
	return fill(b, seed)
}

func filled(n int, seed uint64) []byte { return fill(make([]byte, n), seed) }
