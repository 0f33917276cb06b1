package transporttest

import (
	"testing"
)

var lendTests = []subtest{
	{"SendSaysFalseWhenFullAndRecovers", (*suite).backPressure},
	{"EmptyFramesAreBoundedToo", (*suite).emptyBackPressure},
	{"SentCountsInOrder", (*suite).sentCounts},
	{"MemoryIsTheCallersOnceCounted", (*suite).reuse},
	{"ReclaimEndsAllLends", (*suite).reclaim},
	{"ReclaimInTheMiddleOfAFrame", (*suite).reclaimMiddle},
	{"ReclaimWithNothingLent", (*suite).reclaimNothing},
}

// Bounds of what a link may take while nobody reads, in bytes and frames.
const (
	unreadBytesMax  = 512 << 20
	unreadFramesMax = 4 << 20
)

// overfill sends the payload until the link takes no more, while the other end reads nothing. It
// returns how many frames the link took.
func (p *pair) overfill(from *end, payload []byte) uint64 {
	p.t.Helper()
	n := uint64(0)
	for p.offer(from, frame(n, len(payload)), payload) {
		n++
		if n*uint64(len(payload)) > unreadBytesMax || n > unreadFramesMax {
			p.t.Fatalf("the link took %d frames of %d bytes that nobody reads", n, len(payload))
		}
	}
	return n
}

func (s *suite) backPressure(t *testing.T) {
	p := s.pair(t)
	for _, size := range []int{64, 4000, 64 << 10, 1 << 20} {
		for _, way := range p.both() {
			payload := p.lendable(way[0], way[1], size, uint64(size))
			n := p.overfill(way[0], payload)
			if n == 0 {
				t.Fatalf("an idle link takes no frame of %d bytes", size)
			}
			for i := range n {
				p.take(way[1], frame(i, size), payload)
			}
			p.put(way[0], frame(n, size), payload)
			p.take(way[1], frame(n, size), payload)
			p.settle(way[0])
		}
	}
}

func (s *suite) emptyBackPressure(t *testing.T) {
	p := s.pair(t)
	n := p.overfill(p.a, nil)
	for i := range n {
		p.same(p.next(p.b), frame(i, 0))
	}
	p.put(p.a, frame(n, 0))
	p.take(p.b, frame(n, 0), nil)
	p.settle(p.a)
}

func (s *suite) sentCounts(t *testing.T) {
	p := s.pair(t)
	if n, err := p.a.link.Sent(); n != 0 || err != nil {
		t.Fatalf("Sent of a fresh link: %d, %v", n, err)
	}
	payload := p.lendable(p.a, p.b, 300_000, 1)
	last := p.a.sent
	observe := func() {
		n, err := p.a.link.Sent()
		if err != nil {
			t.Fatal(err)
		}
		if n < last || n > p.a.sent {
			t.Fatalf("Sent counts %d after %d, and %d were taken", n, last, p.a.sent)
		}
		last = n
	}
	for i := range uint64(40) {
		length := int(i%4) * 100_000
		for !p.offer(p.a, frame(i, length), payload[:length]) {
			observe()
			if h, err := p.b.link.Next(); err != nil {
				t.Fatal(err)
			} else if h != nil {
				p.rest(p.b, h, frame(h.Seq, int(h.Length)), payload[:h.Length])
			}
		}
		observe()
	}
	p.until("the rest", func() bool {
		observe()
		h, err := p.b.link.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			return last == p.a.sent
		}
		p.rest(p.b, h, frame(h.Seq, int(h.Length)), payload[:h.Length])
		return false
	})
}

// reuse overwrites the memory of a frame as soon as Sent counts it, whether the receiver has looked
// or not: it sees the old bytes.
func (s *suite) reuse(t *testing.T) {
	p := s.pair(t)
	for _, size := range []int{1, 64, 4096, 100_000, 1 << 20} {
		const frames = 24
		memory := p.lendable(p.a, p.b, size, 0)
		lent := func() bool {
			n, err := p.a.link.Sent()
			if err != nil {
				t.Fatal(err)
			}
			if n == p.a.sent {
				clear(memory)
			}
			return n < p.a.sent
		}
		put, taken := uint64(0), uint64(0)
		p.until("all frames", func() bool {
			if !lent() && put < frames {
				if p.offer(p.a, frame(put, size), fill(memory, put)) {
					put++
				}
				lent()
			}
			h, err := p.b.link.Next()
			if err != nil {
				t.Fatal(err)
			}
			if h != nil {
				p.rest(p.b, h, frame(taken, size), filled(size, taken))
				taken++
			}
			return taken == frames
		})
		p.settle(p.a)
	}
}

func (s *suite) reclaim(t *testing.T) {
	p := s.pair(t)
	const size = 200_000
	memory := p.lendable(p.a, p.b, size, 1)
	n := p.overfill(p.a, memory)
	p.a.link.Reclaim()
	if got, err := p.a.link.Sent(); got != p.a.sent || err != nil {
		t.Fatalf("after Reclaim, Sent counts %d of %d frames, %v", got, p.a.sent, err)
	}
	clear(memory)
	for i := range n {
		p.take(p.b, frame(i, size), filled(size, 1))
	}
	p.put(p.a, frame(n, size), memory) // the link is as good as before
	p.take(p.b, frame(n, size), memory)
	p.settle(p.a)
}

// reclaimMiddle reclaims when the receiver has taken a part of the first frame, by Read or by Peek
// and Discard.
func (s *suite) reclaimMiddle(t *testing.T) {
	for _, peek := range []bool{false, true} {
		p := s.pair(t)
		size := min(4<<20, s.options.MaxPayload) &^ 7
		const part = 1000
		memory := p.lendable(p.a, p.b, size, 3)
		p.put(p.a, frame(3, size), memory[:size/2&^7], memory[size/2&^7:])
		p.same(p.next(p.b), frame(3, size))
		got := make([]byte, size)
		if peek {
			p.until("a part of the payload", func() bool {
				b, err := p.b.link.Peek()
				if err != nil {
					t.Fatal(err)
				}
				if len(b) < part {
					return false
				}
				copy(got, b[:part])
				p.b.link.Discard(part)
				return true
			})
		} else {
			p.read(p.b, got[:part])
		}
		p.a.link.Reclaim()
		if n, err := p.a.link.Sent(); n != p.a.sent || err != nil {
			t.Fatalf("after Reclaim, Sent counts %d of %d frames, %v", n, p.a.sent, err)
		}
		clear(memory)
		p.read(p.b, got[part:])
		p.equal(got, filled(size, 3))
		p.put(p.b, frame(4, 10), filled(10, 4)) // and the other direction
		p.take(p.a, frame(4, 10), filled(10, 4))
	}
}

func (s *suite) reclaimNothing(t *testing.T) {
	p := s.pair(t)
	p.a.link.Reclaim()
	p.put(p.a, frame(1, 8), filled(8, 1))
	p.take(p.b, frame(1, 8), filled(8, 1))
	p.settle(p.a)
	p.a.link.Reclaim()
	if n, err := p.a.link.Sent(); n != 1 || err != nil {
		t.Fatalf("Sent: %d, %v", n, err)
	}
	p.put(p.a, frame(2, 8), filled(8, 2))
	p.take(p.b, frame(2, 8), filled(8, 2))
}
