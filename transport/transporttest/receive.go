package transporttest

import (
	"fmt"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

var receiveTests = []subtest{
	{"NextIsNilWithoutFrame", (*suite).nextNil},
	{"NextStaysUntilThePayloadIsTaken", (*suite).nextStays},
	{"ReadInOddPortions", (*suite).readOdd},
	{"ReadStopsAtTheEndOfThePayload", (*suite).readStops},
	{"PeekIsAlignedAndTakesNothing", (*suite).peekAligned},
	{"PeekWindowsGrow", (*suite).peekGrows},
	{"PeekShowsControlFramesWhole", (*suite).peekControl},
	{"ReadPeekAndDiscardMixed", (*suite).mixed},
}

func (s *suite) nextNil(t *testing.T) {
	p := s.pair(t)
	for _, e := range []*end{p.a, p.b} {
		for range 3 {
			if h, err := e.link.Next(); h != nil || err != nil {
				t.Fatalf("Next of an idle link: %v, %v", h, err)
			}
		}
	}
	p.put(p.a, frame(1, 0))
	p.take(p.b, frame(1, 0), nil)
	if h, err := p.b.link.Next(); h != nil || err != nil {
		t.Fatalf("Next after the only frame: %v, %v", h, err)
	}
}

func (s *suite) nextStays(t *testing.T) {
	p := s.pair(t)
	const size = 100
	payload := filled(size, 1)
	for i := range uint64(3) {
		p.put(p.a, frame(i, size), payload)
	}
	for i := range uint64(3) {
		h := p.next(p.b)
		var one [1]byte
		for k := range size {
			p.same(h, frame(i, size)) // valid to the last byte
			again, err := p.b.link.Next()
			if err != nil || again == nil {
				t.Fatalf("Next with %d bytes left: %v, %v", size-k, again, err)
			}
			p.same(again, frame(i, size))
			p.read(p.b, one[:])
			p.equal(one[:], payload[k:k+1])
		}
	}
	if h, err := p.b.link.Next(); h != nil || err != nil {
		t.Fatalf("Next after the last frame: %v, %v", h, err)
	}
}

func (s *suite) readOdd(t *testing.T) {
	p := s.pair(t)
	for _, size := range []int{1, 17, 1000, 70_001, 300_007} {
		for _, portion := range []int{1, 3, 7, 64, 4099, size} {
			if size/portion > 5000 {
				continue
			}
			payload := p.lendable(p.a, p.b, size, uint64(portion))
			p.put(p.a, frame(1, size), payload)
			p.same(p.next(p.b), frame(1, size))
			got := make([]byte, size)
			for at := 0; at < size; at += portion {
				p.read(p.b, got[at:min(size, at+portion)])
			}
			p.equal(got, payload)
			p.settle(p.a)
		}
	}
}

// readStops reads with room for more than the payload, and with no room at all.
func (s *suite) readStops(t *testing.T) {
	p := s.pair(t)
	for i := range uint64(5) {
		p.put(p.a, frame(i, 50), filled(50, i))
	}
	for i := range uint64(5) {
		p.same(p.next(p.b), frame(i, 50))
		if n, err := p.b.link.Read(nil); n != 0 || err != nil {
			t.Fatalf("Read of nothing: %d, %v", n, err)
		}
		room := make([]byte, 1000)
		n := 0
		p.until("the payload", func() bool {
			k, err := p.b.link.Read(room[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += k
			return n >= 50
		})
		p.equal(room[:n], filled(50, i))
	}
}

// window peeks and checks what can be seen of b, the payload from taken on.
func (p *pair) window(at *end, payload []byte, taken int) []byte {
	p.t.Helper()
	b, err := at.link.Peek()
	if err != nil {
		p.t.Fatalf("Peek: %v", err)
	}
	if err := checkWindow(b, payload, taken); err != nil {
		p.t.Fatal(err)
	}
	return b
}

func checkWindow(b, payload []byte, taken int) error {
	if len(b) > len(payload)-taken {
		return fmt.Errorf("a window of %d bytes, and %d remain", len(b), len(payload)-taken)
	}
	if len(b) == 0 {
		return nil
	}
	if a := uintptr(unsafe.Pointer(unsafe.SliceData(b))); int(a%8) != taken%8 {
		return fmt.Errorf("byte %d of the payload is at address %#x", taken, a)
	}
	if err := compare(b, payload[taken:taken+len(b)]); err != nil {
		return fmt.Errorf("window at byte %d: %w", taken, err)
	}
	return nil
}

// peekAligned sends from memory of every alignment and discards steps of every length.
func (s *suite) peekAligned(t *testing.T) {
	p := s.pair(t)
	for _, size := range []int{1, 8, 50, 5000, 100_003} {
		for offset := range 9 {
			memory := p.lendable(p.a, p.b, size+offset, uint64(offset))
			payload := memory[offset:]
			p.put(p.a, frame(1, size), payload[:size/2], payload[size/2:])
			p.same(p.next(p.b), frame(1, size))
			taken := 0
			for step := 1; taken < size; step = step*2 + 1 {
				n := 0
				p.until("a window", func() bool {
					n = len(p.window(p.b, payload, taken))
					return n > 0
				})
				if again := len(p.window(p.b, payload, taken)); again < n {
					t.Fatalf("Peek again shows %d bytes after %d", again, n)
				} else {
					n = min(step, again)
				}
				p.b.link.Discard(n)
				taken += n
			}
			p.settle(p.a)
		}
	}
}

// peekGrows discards nothing until the window reaches the end of the next 8 bytes of the payload.
func (s *suite) peekGrows(t *testing.T) {
	p := s.pair(t)
	for _, size := range []int{40, 64, 1000, 300_001} {
		for _, split := range []int{0, 1, 33, 40} {
			payload := p.lendable(p.a, p.b, size, uint64(split))
			p.put(p.a, frame(1, size), payload[:split], payload[split:])
			p.same(p.next(p.b), frame(1, size))
			for taken, step := 0, 1; taken < size; step = (step + 3) % 8 {
				want := min((taken/8+1)*8, size) - taken
				p.until("a window to a multiple of 8 bytes", func() bool {
					return len(p.window(p.b, payload, taken)) >= want
				})
				n := min(want, step+1)
				p.b.link.Discard(n)
				taken += n
				if taken > 5000 && size-taken > 5000 {
					rest := make([]byte, size-taken-1000)
					p.read(p.b, rest)
					p.equal(rest, payload[taken:taken+len(rest)])
					taken += len(rest)
				}
			}
			p.settle(p.a)
		}
	}
}

// peekControl: control frames are looked at as a whole.
func (s *suite) peekControl(t *testing.T) {
	p := s.pair(t)
	for _, size := range []int{1, 100, 4096} {
		payload := filled(size, 1)
		h := frame(1, size)
		h.Kind++ // a control frame
		for range 40 {
			p.put(p.a, h, payload)
			p.same(p.next(p.b), h)
			p.until("the whole payload in a window", func() bool {
				return len(p.window(p.b, payload, 0)) == size
			})
			p.b.link.Discard(size)
		}
	}
}

func (s *suite) mixed(t *testing.T) {
	p := s.pair(t)
	memory := p.lendable(p.a, p.b, 1<<18, 9)
	n := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		n++
		size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 1<<17)).Draw(rt, "size")
		offset := rapid.IntRange(0, 64).Draw(rt, "offset")
		split := rapid.IntRange(0, size).Draw(rt, "split")
		payload := memory[offset : offset+size]
		p.put(p.a, frame(n, size), payload[:split:split], payload[split:])
		p.same(p.next(p.b), frame(n, size))
		for taken := 0; taken < size; {
			read := rapid.Bool().Draw(rt, "read")
			portion := rapid.IntRange(1, size-taken).Draw(rt, "portion")
			if read {
				got := make([]byte, portion)
				p.read(p.b, got)
				p.equal(got, payload[taken:taken+portion])
				taken += portion
				continue
			}
			var b []byte
			p.until("a window", func() bool {
				b = p.window(p.b, payload, taken)
				return len(b) > 0
			})
			portion = min(portion, len(b))
			p.b.link.Discard(portion)
			taken += portion
		}
		p.settle(p.a)
	})
}
