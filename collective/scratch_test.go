package collective

import (
	"errors"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
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
		var out [][]byte
		owner := map[*byte]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(out) > 0 && rapid.Bool().Draw(t, "put") {
				i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
				delete(owner, unsafe.SliceData(out[i]))
				m.put(out[i])
				out = append(out[:i], out[i+1:]...)
			} else {
				n := rapid.OneOf(
					rapid.IntRange(1, 1000), rapid.IntRange(specialScratch/2, 2*specialScratch),
				).Draw(t, "n")
				b := m.get(n)
				p := unsafe.SliceData(b)
				if len(b) != n || cap(b) < n || cap(b) > n+n/4+63 || uintptr(unsafe.Pointer(p))%64 != 0 || owner[p] {
					t.Fatalf("%d bytes: %d of %d at %p, in use: %t", n, len(b), cap(b), p, owner[p])
				}
				if _, ok := special.alive[p]; ok != (cap(b) >= specialScratch) {
					t.Fatalf("a piece of %d bytes is special: %t", cap(b), ok)
				}
				owner[p] = true
				out = append(out, b)
			}
			sum := 0
			for _, b := range m.idle {
				sum += cap(b)
			}
			if sum != m.bytes || len(m.idle) > maxIdlePieces {
				t.Fatalf("%d bytes in %d pieces, and it says %d", sum, len(m.idle), m.bytes)
			}
		}
	})
}

// TestScratchBounds: what came back first goes first, and no special memory stays behind.
func TestScratchBounds(t *testing.T) {
	special := &countedMemory{alive: map[*byte]int{}}
	m := scratchMemory{special: special}
	const size = maxIdleScratch / 4
	var all [][]byte
	for range 6 {
		all = append(all, m.get(size))
	}
	for _, b := range all {
		m.put(b)
	}
	if len(m.idle) != 4 || m.bytes != maxIdleScratch || len(special.alive) != 4 {
		t.Fatalf("%d pieces of %d bytes are kept, %d alive; want 4 of %d", len(m.idle), m.bytes, len(special.alive), maxIdleScratch)
	}
	if b := m.get(size); unsafe.SliceData(b) != unsafe.SliceData(all[5]) {
		t.Error("the piece that came back last is not the next one")
	}
	for i := range all[:2] {
		if _, ok := special.alive[unsafe.SliceData(all[i])]; ok {
			t.Errorf("piece %d of those that came back first is still there", i)
		}
	}
}

// TestScratchRefused: without special memory there is ordinary memory, and no further question.
func TestScratchRefused(t *testing.T) {
	special := &countedMemory{err: errors.New("no memory")}
	m := scratchMemory{special: special}
	for range 3 {
		if b := m.get(specialScratch); len(b) != specialScratch {
			t.Fatalf("%d bytes, want %d", len(b), specialScratch)
		}
	}
	if special.asked != 1 {
		t.Errorf("it was asked for %d times, want once", special.asked)
	}
}

// TestScratchIsShared: calls of different plans use the same piece.
func TestScratchIsShared(t *testing.T) {
	var m scratchMemory
	b := m.get(1000)
	m.put(b)
	if c := m.get(1020); unsafe.SliceData(b) != unsafe.SliceData(c) {
		t.Error("a call of 1020 bytes does not get the 1024 that one of 1000 had")
	}
	if avg := testing.AllocsPerRun(100, func() { m.put(m.get(5000)) }); avg != 0 {
		t.Errorf("%v allocations for a piece that is there", avg)
	}
}
