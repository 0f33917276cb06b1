package transporttest

import (
	"testing"
)

var costTests = []subtest{
	{"NoAllocationForASmallFrame", func(s *suite, t *testing.T) { s.allocs(t, 64) }},
	{"NoAllocationForALargeFrame", func(s *suite, t *testing.T) { s.allocs(t, 1<<20) }},
	{"NoAllocationForAnEmptyFrame", func(s *suite, t *testing.T) { s.allocs(t, 0) }},
}

// allocs counts what a frame there and back costs, once by Read and once by Peek.
func (s *suite) allocs(t *testing.T, size int) {
	if s.options.Allocs < 0 {
		t.Skip("the driver promises nothing")
	}
	p := s.pair(t)
	out, in := p.lendable(p.a, p.b, size, 1), make([]byte, size)
	h := frame(1, size)
	ways := p.both()
	run := func() {
		for i, way := range ways {
			pieces := [2][]byte{out[:size/2&^7], out[size/2&^7:]}
			taken, sent, seen := 0, false, false
			for !seen || taken < size {
				if !sent {
					ok, err := way[0].link.Send(h, pieces)
					if err != nil {
						t.Fatal(err)
					}
					sent = ok
				}
				if _, err := way[0].link.Sent(); err != nil {
					t.Fatal(err)
				}
				k, head := p.step(way[1], in[taken:], i == 0)
				taken, seen = taken+k, seen || head
			}
			way[0].sent++
		}
		for _, way := range ways {
			for {
				n, err := way[0].link.Sent()
				if err != nil {
					t.Fatal(err)
				}
				if n == way[0].sent {
					break
				}
			}
		}
	}
	for range s.much(200) { // what is allocated once, is allocated now
		run()
	}
	if got := testing.AllocsPerRun(s.much(100), run); got > s.options.Allocs {
		t.Errorf("a frame of %d bytes there and back costs %v allocations, want %v", size, got,
			s.options.Allocs)
	}
	p.equal(in, out)
}

// step takes what is there of the head frame, and says how much, and whether there was a frame.
func (p *pair) step(at *end, in []byte, peek bool) (int, bool) {
	h, err := at.link.Next()
	if err != nil {
		p.t.Fatal(err)
	}
	if h == nil || len(in) == 0 {
		return 0, h != nil
	}
	if !peek {
		n, err := at.link.Read(in)
		if err != nil {
			p.t.Fatal(err)
		}
		return n, true
	}
	b, err := at.link.Peek()
	if err != nil {
		p.t.Fatal(err)
	}
	n := copy(in, b)
	at.link.Discard(n)
	return n, true
}
