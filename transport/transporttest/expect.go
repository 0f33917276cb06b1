package transporttest

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// What these tests ask for holds for every link; one that is a transport.Expecter is told where
// payloads will go.
var expectTests = []subtest{
	{"PayloadsComeWhereTheyAreExpected", (*suite).expectedTraffic},
	{"ReclaimGivesDestinationsBack", (*suite).expectedReclaim},
	{"CloseGivesDestinationsBack", (*suite).expectedClose},
}

// expect tells a link of a frame, if it is an Expecter.
func (e *end) expect(h *transport.Header, dst []byte) bool {
	x, ok := e.link.(transport.Expecter)
	return ok && x.Expect(h, dst)
}

// hear lets an end take what the other has to say to its driver: frames are none of that.
func (p *pair) hear(at *end) {
	p.t.Helper()
	for range 20 {
		if h, err := at.link.Next(); h != nil || err != nil {
			p.t.Fatalf("Next: %v, %v", h, err)
		}
		p.progress()
		at.endpoint.Wait(time.Now().Add(poll))
	}
}

// expectedFrames is traffic one way, in lendable memory of several frames' size at both ends.
type expectedFrames struct {
	*pair
	rand     *rand.Rand
	bytes    int // of a slot
	from, to *end
	source   []byte
	target   []byte
	sizes    []int
	sent     int
	taken    int
	told     int         // up to which frame the link may have been told
	mine     map[int]int // slots that a Reclaim has given back, and the seed of what they hold
}

const (
	expectedSlot  = 200 << 10 // the longest
	expectedSlots = 6
)

func (f *expectedFrames) slot(b []byte, i int) []byte {
	at := i % expectedSlots * f.bytes
	return b[at : at+f.sizes[i]]
}

// expectedTraffic has frames come of which some are expected: in time, or too late, in any
// order. It takes them in every way, and reclaims in between.
func (s *suite) expectedTraffic(t *testing.T) {
	for seed := range uint64(2) {
		p := s.pair(t)
		f := &expectedFrames{pair: p, rand: rand.New(rand.NewPCG(seed, 5)), mine: map[int]int{}}
		f.bytes = min(expectedSlot, s.options.MaxPayload/expectedSlots&^7)
		f.from, f.to = p.both()[seed%2][0], p.both()[seed%2][1]
		f.source = p.lendable(f.from, f.to, f.bytes*expectedSlots, 1)
		f.target = p.lendable(f.to, f.from, f.bytes*expectedSlots, 2)
		for range 40 {
			f.sizes = append(f.sizes, f.rand.IntN(4)*50_000+f.rand.IntN(50_000))
		}
		for i := range f.sizes {
			f.sizes[i] = min(f.sizes[i], f.bytes)
		}
		p.until("all frames", func() bool { return f.act(seed) })
		p.settle(f.from)
	}
}

// act does one thing of traffic, and says whether that was the last.
func (f *expectedFrames) act(seed uint64) bool {
	f.t.Helper()
	switch f.rand.IntN(8) {
	case 0, 1: // send one
		free := f.sent < len(f.sizes) && f.sent < f.taken+expectedSlots
		if n, err := f.from.link.Sent(); err != nil || n < f.from.sent {
			free = false // the memory is lent
		}
		if free {
			b := fill(f.slot(f.source, f.sent), uint64(f.sent))
			k := f.rand.IntN(len(b)+1) &^ 7
			if f.offer(f.from, frame(uint64(f.sent), len(b)), b[:k], b[k:]) {
				f.sent++
			}
		}
	case 2, 3, 4: // expect one
		f.told = max(f.told, f.taken)
		if f.told < len(f.sizes) && f.told < f.taken+expectedSlots {
			if f.rand.IntN(3) > 0 {
				h := frame(uint64(f.told), f.sizes[f.told])
				h.Credit, h.Checksum = 0, 0
				delete(f.mine, f.told%expectedSlots)
				f.to.expect(h, f.slot(f.target, f.told))
			}
			f.told++
		}
	case 5, 6:
		f.receive()
	case 7:
		if f.rand.IntN(4) == 0 {
			f.reclaim(seed)
		}
	}
	return f.taken == len(f.sizes)
}

// receive takes a frame if one is there.
func (f *expectedFrames) receive() {
	f.t.Helper()
	h, err := f.to.link.Next()
	if err != nil {
		f.t.Fatal(err)
	}
	if h == nil {
		return
	}
	f.same(h, frame(uint64(f.taken), f.sizes[f.taken]))
	n := f.sizes[f.taken]
	got := f.slot(f.target, f.taken)
	want := filled(n, uint64(f.taken))
	delete(f.mine, f.taken%expectedSlots)
	switch f.rand.IntN(4) {
	case 0: // elsewhere
		got = make([]byte, n)
		f.read(f.to, got)
	case 1: // some of it in place
		f.read(f.to, got[:n/2])
		f.read(f.to, got[n/2:])
	case 2:
		got = f.peeked(n)
	default:
		f.read(f.to, got)
	}
	f.equal(got, want)
	for slot, content := range f.mine {
		b := f.target[slot*f.bytes:][:f.bytes]
		if !bytes.Equal(b, filled(f.bytes, uint64(content))) {
			f.t.Fatalf("memory that was given back has changed when frame %d has come", f.taken)
		}
	}
	f.taken++
}

// peeked takes n bytes by Peek.
func (f *expectedFrames) peeked(n int) (got []byte) {
	f.t.Helper()
	f.until("the payload", func() bool {
		if len(got) == n {
			return true
		}
		b, err := f.to.link.Peek()
		if err != nil {
			f.t.Fatal(err)
		}
		got = append(got, b...)
		f.to.link.Discard(len(b))
		return len(got) == n
	})
	return got
}

// reclaim takes all memory of the receiver back and uses it.
func (f *expectedFrames) reclaim(seed uint64) {
	f.to.link.Reclaim()
	for i := range expectedSlots {
		content := int(seed)*1000 + f.taken*10 + i
		fill(f.target[i*f.bytes:][:f.bytes], uint64(content))
		f.mine[i] = content
	}
	f.told = max(f.told, f.taken)
}

// announced has b expect a frame, and a hear of it.
func (p *pair) announced(size int) (h *transport.Header, source, target []byte) {
	p.t.Helper()
	source, target = p.lendable(p.a, p.b, size, 1), p.lendable(p.b, p.a, size, 2)
	h = frame(9, size)
	p.b.expect(h, target)
	p.hear(p.a)
	return h, source, target
}

// expectedReclaim has the other end send when the memory is the caller's again.
func (s *suite) expectedReclaim(t *testing.T) {
	const size = 150_000
	for _, heard := range []bool{false, true} {
		p := s.pair(t)
		h, source, target := p.announced(size)
		p.b.link.Reclaim()
		if heard {
			p.hear(p.a)
		}
		fill(target, 3)
		p.put(p.a, h, fill(source, 9))
		p.same(p.next(p.b), h)
		p.equal(target, filled(size, 3))
		p.read(p.b, target)
		p.equal(target, filled(size, 9))
		p.settle(p.a)
	}
}

// expectedClose has the other end send when the link is closed.
func (s *suite) expectedClose(t *testing.T) {
	const size = 150_000
	p := s.pair(t)
	h, source, target := p.announced(size)
	if err := p.b.link.Close(); err != nil {
		t.Fatal(err)
	}
	fill(target, 3)
	if _, err := p.a.link.Send(h, [2][]byte{fill(source, 9)}); err != nil {
		t.Logf("it has heard: %v", err)
	}
	for range 50 {
		p.a.endpoint.Wait(time.Now().Add(poll))
		p.b.endpoint.Wait(time.Now().Add(poll))
		_, _ = p.a.link.Sent() // it may fail by now
	}
	p.equal(target, filled(size, 3))
}
