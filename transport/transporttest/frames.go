package transporttest

import (
	"fmt"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

var frameTests = []subtest{
	{"EverySizeBothWays", (*suite).sizes},
	{"EveryHeaderField", (*suite).headers},
	{"EveryKind", (*suite).kinds},
	{"EverySplitInTwoPieces", (*suite).splits},
	{"ManyInOrder", (*suite).inOrder},
	{"HeaderIsCopied", (*suite).headerCopied},
	{"PayloadOverTheLimitBreaksTheLink", (*suite).overLimit},
}

func (s *suite) sizes(t *testing.T) {
	sizes := []int{
		0, 1, 7, 8, 9, 63, 64, 65, 246, 247, 255, 256, 257, 1023, 4<<10 - 65, 4<<10 - 1, 4 << 10,
		4<<10 + 1, 64<<10 - 64, 64 << 10, 64<<10 + 1, 1 << 20, s.options.MaxPayload,
	}
	p := s.pair(t)
	for i, n := range sizes {
		for j, way := range p.both() {
			seed := uint64(2*i + j)
			payload := p.lendable(way[0], way[1], n, seed)
			p.put(way[0], frame(seed, n), payload)
			p.take(way[1], frame(seed, n), payload)
			p.settle(way[0])
		}
	}
}

func (s *suite) headers(t *testing.T) {
	p := s.pair(t)
	for n := range uint64(200) {
		p.put(p.a, frame(n, 0))
		p.take(p.b, frame(n, 0), nil)
	}
}

func (s *suite) kinds(t *testing.T) {
	p := s.pair(t)
	for k := transport.Data; k <= transport.Goodbye; k++ {
		for _, n := range []int{0, 1, transport.MaxControl} {
			h := frame(uint64(k), n)
			h.Kind = k
			payload := filled(n, uint64(n))
			p.put(p.a, h, payload)
			p.take(p.b, h, payload)
		}
	}
}

func (s *suite) splits(t *testing.T) {
	p := s.pair(t)
	for _, n := range []int{1, 2, 9, 64, 5000, 70_000} {
		payload := p.lendable(p.a, p.b, n, uint64(n))
		at := []int{0, 1, n / 3, n / 2, n - 1, n}
		if n <= 64 {
			at = at[:0]
			for i := range n + 1 {
				at = append(at, i)
			}
		}
		for _, i := range at {
			h := frame(uint64(i), n)
			p.put(p.a, h, payload[:i], payload[i:])
			p.take(p.b, h, payload)
			p.settle(p.a)
		}
	}
	h := frame(1, 3)
	p.put(p.a, h, nil, []byte{1, 2, 3})
	p.take(p.b, h, []byte{1, 2, 3})
}

// inOrder has as many frames under way as the link takes, small and large mixed, in both
// directions.
func (s *suite) inOrder(t *testing.T) {
	p := s.pair(t)
	const frames = 300
	lengths := [...]int{0, 3, 64, 2000, 0, 5000, 1, 40_000, 0, 0, 100_000}
	length := func(i uint64) int { return lengths[i%uint64(len(lengths))] }
	memory := map[string][]byte{}
	payload := func(way int, i uint64) []byte {
		key := fmt.Sprint(way, i%50, length(i))
		if memory[key] == nil {
			memory[key] = filled(length(i), i%50+uint64(way))
		}
		return memory[key]
	}
	var put, taken [2]uint64
	p.until("all frames", func() bool {
		for w, way := range p.both() {
			for put[w] < frames && p.offer(way[0], frame(put[w], length(put[w])), payload(w, put[w])) {
				put[w]++
			}
			h, err := way[1].link.Next()
			if err != nil {
				t.Fatalf("Next: %v", err)
			}
			if h != nil {
				p.rest(way[1], h, frame(taken[w], length(taken[w])), payload(w, taken[w]))
				taken[w]++
			}
		}
		return taken == [2]uint64{frames, frames}
	})
	p.settle(p.a)
	p.settle(p.b)
}

func (s *suite) headerCopied(t *testing.T) {
	p := s.pair(t)
	h := *frame(1, 200_000)
	payload := p.lendable(p.a, p.b, 200_000, 1)
	p.put(p.a, &h, payload)
	h = *frame(2, 3)
	p.take(p.b, frame(1, 200_000), payload)
	p.settle(p.a)
}

// overLimit: either the sender refuses the frame, or the receiver's direction breaks.
func (s *suite) overLimit(t *testing.T) {
	p := s.pair(t)
	h := frame(1, transport.MaxControl+1)
	h.Kind = transport.Abort
	payload := filled(int(h.Length), 1)
	var refused error
	p.until("the frame over the limit to be refused or taken", func() bool {
		var ok bool
		ok, refused = p.a.link.Send(h, two([][]byte{payload}))
		return ok || refused != nil
	})
	if refused != nil {
		checkFrameError(t, refused)
		return
	}
	var err error
	until(t, "the link to break", func() bool {
		if _, e := p.a.link.Sent(); e != nil {
			t.Logf("Sent of the sender: %v", e)
		}
		_, err = p.b.link.Next()
		return err != nil
	}, p.eps...)
	checkFrameError(t, err)
}
