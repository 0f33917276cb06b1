package collective

import (
	"context"
	"errors"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/tensor"
)

// countedMemory is an Allocator that counts.
type countedMemory struct {
	alive map[*byte]int
	err   error
	asked int
}

func (m *countedMemory) Alloc(n int) ([]byte, error) {
	m.asked++
	if m.err != nil {
		return nil, m.err
	}
	b := alignedBytes(n)
	m.alive[unsafe.SliceData(b)] = n
	return b, nil
}

func (m *countedMemory) Free(b []byte) { delete(m.alive, unsafe.SliceData(b)) }

// TestScratchMemory gets and puts pieces: no two that are out overlap, large ones are special, and what
// is kept has a bound.
func TestScratchMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		special := &countedMemory{alive: map[*byte]int{}}
		m := scratchMemory{special: special}
		var out []scratch
		owner := map[*byte]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(out) > 0 && rapid.Bool().Draw(t, "put") {
				i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
				delete(owner, unsafe.SliceData(out[i].mem))
				m.put(out[i])
				out = append(out[:i], out[i+1:]...)
			} else {
				n := rapid.OneOf(
					rapid.IntRange(1, 1000), rapid.IntRange(specialScratch/2, 2*specialScratch),
				).Draw(t, "n")
				s := m.get(n)
				b, p := s.mem, unsafe.SliceData(s.mem)
				if len(b) != n || cap(b) < n || cap(b) > n+n/4+63 || uintptr(unsafe.Pointer(p))%64 != 0 || owner[p] {
					t.Fatalf("%d bytes: %d of %d at %p, in use: %t", n, len(b), cap(b), p, owner[p])
				}
				if _, ok := special.alive[p]; ok != s.special || ok && cap(b) < specialScratch ||
					!ok && cap(b) >= specialScratch && len(special.alive) < maxSpecials {
					t.Fatalf("a piece of %d bytes is special: %t, %t; %d are", cap(b), s.special, ok, len(special.alive))
				}
				owner[p] = true
				out = append(out, s)
			}
			sum := 0
			for _, s := range m.idle {
				sum += cap(s.mem)
			}
			if sum != m.bytes || len(special.alive) != m.specials || m.specials > maxSpecials {
				t.Fatalf("%d bytes, and it says %d; %d special pieces, and it says %d",
					sum, m.bytes, len(special.alive), m.specials)
			}
		}
	})
}

// TestScratchBounds: what came back first goes first, and no special memory stays behind.
func TestScratchBounds(t *testing.T) {
	special := &countedMemory{alive: map[*byte]int{}}
	m := scratchMemory{special: special}
	const size = maxIdleScratch / 4
	var all []scratch
	for range 6 {
		all = append(all, m.get(size))
	}
	for _, b := range all {
		m.put(b)
	}
	if len(m.idle) != 4 || m.bytes != maxIdleScratch || len(special.alive) != 4 {
		t.Fatalf("%d pieces of %d bytes are kept, %d alive; want 4 of %d", len(m.idle), m.bytes, len(special.alive), maxIdleScratch)
	}
	if s := m.get(size); unsafe.SliceData(s.mem) != unsafe.SliceData(all[5].mem) {
		t.Error("the piece that came back last is not the next one")
	}
	for i := range all[:2] {
		if _, ok := special.alive[unsafe.SliceData(all[i].mem)]; ok {
			t.Errorf("piece %d of those that came back first is still there", i)
		}
	}
}

// TestScratchRefused: without special memory there is ordinary memory, and no further question.
func TestScratchRefused(t *testing.T) {
	special := &countedMemory{err: errors.New("no memory")}
	m := scratchMemory{special: special}
	for range askAgain {
		if s := m.get(specialScratch); len(s.mem) != specialScratch || s.special {
			t.Fatalf("%d bytes, want %d; special: %t", len(s.mem), specialScratch, s.special)
		}
	}
	if special.asked != 1 {
		t.Errorf("it was asked for %d times, want once", special.asked)
	}
	special.err, special.alive = nil, map[*byte]int{}
	m.get(specialScratch)
	if s := m.get(specialScratch); !s.special {
		t.Error("it is never asked again")
	}
}

// TestScratchGoes: what links may have made ordinary, what is too large and what comes late is not kept.
func TestScratchGoes(t *testing.T) {
	for name, spoil := range map[string]func(m *scratchMemory){
		"reclaimed": (*scratchMemory).reclaimed,
		"closed":    (*scratchMemory).close,
	} {
		special := &countedMemory{alive: map[*byte]int{}}
		m := scratchMemory{special: special}
		s, kept := m.get(specialScratch), m.get(specialScratch)
		m.put(kept)
		spoil(&m)
		m.put(s)
		if _, ok := special.alive[unsafe.SliceData(s.mem)]; ok || m.specials != len(special.alive) {
			t.Errorf("%s: the piece is still there: %t; %d are, and it says %d", name, ok, len(special.alive), m.specials)
		}
	}
	special := &countedMemory{alive: map[*byte]int{}}
	m := scratchMemory{special: special}
	m.put(m.get(specialScratch))
	m.put(m.get(maxIdleScratch + 1))
	if len(m.idle) != 1 || len(special.alive) != 1 {
		t.Errorf("%d pieces are kept, %d are special; want the small one", len(m.idle), len(special.alive))
	}
	m.lose(m.get(specialScratch))
	if m.specials != 0 {
		t.Errorf("%d special pieces, when the only one is lost", m.specials)
	}
}

// TestScratchOfManyCalls: more calls at once than there may be special pieces use the same pieces again.
func TestScratchOfManyCalls(t *testing.T) {
	special := &countedMemory{alive: map[*byte]int{}}
	m := scratchMemory{special: special}
	var all []scratch
	round := func() {
		for range 3 * maxSpecials {
			all = append(all, m.get(specialScratch))
		}
		for _, s := range all {
			m.put(s)
		}
		all = all[:0]
	}
	round()
	if avg := testing.AllocsPerRun(10, round); avg != 0 || special.asked != maxSpecials {
		t.Errorf("%v allocations, asked %d times; want 0 and %d", avg, special.asked, maxSpecials)
	}
}

// TestScratchIsShared: calls of different plans use the same piece.
func TestScratchIsShared(t *testing.T) {
	var m scratchMemory
	a := m.get(1000)
	m.put(a)
	if b := m.get(1020); unsafe.SliceData(a.mem) != unsafe.SliceData(b.mem) {
		t.Error("a call of 1020 bytes does not get the 1024 that one of 1000 had")
	}
	if avg := testing.AllocsPerRun(100, func() { m.put(m.get(5000)) }); avg != 0 {
		t.Errorf("%v allocations for a piece that is there", avg)
	}
}

// TestScratchEnds: who gives up keeps no piece that may have been taken back, and who closes keeps none.
func TestScratchEnds(t *testing.T) {
	comms := ranks(t, setting{size: 3, opts: []Option{WithAlgorithms("allreduce=one-shot")}})
	err := together(comms, func(c *Comm) error {
		return AllReduce(context.Background(), c, make([]float32, 1<<16), tensor.Sum)
	})
	if err != nil {
		t.Fatal(err)
	}
	e := comms[0].e
	e.enter()
	round, kept := e.scratch.round, e.scratch.bytes
	e.mu.Unlock()
	comms[0].Abort(errors.New("enough"))
	e.enter()
	now := e.scratch.round
	e.mu.Unlock()
	if kept == 0 || now == round {
		t.Errorf("%d bytes are kept; reclaims: %d before the abort, %d after it", kept, round, now)
	}
	if err := closeAll(comms); err != nil {
		t.Fatal(err)
	}
	for _, c := range comms {
		if s := &c.e.scratch; s.bytes != 0 || len(s.idle) != 0 || !s.closed {
			t.Errorf("rank %d is closed and keeps %d bytes in %d pieces", c.rank, s.bytes, len(s.idle))
		}
	}
}
