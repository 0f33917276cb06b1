package collective

import (
	"math/bits"
	"slices"

	"github.com/tutti-ml/tutti/transport"
)

// scratchMemory is the scratch memory of calls. That of a call that is done serves the next one, of
// whatever plan and communicator. Where links move some memory with fewer copies than other, large
// pieces are of it: most messages of a reduction are sent from scratch memory. Over shared memory,
// 4 ranks on two cores, that takes a quarter to a third off a reduce or a reduce-scatter of 1 to 16 MiB.
type scratchMemory struct {
	special  transport.Allocator // nil where all memory is alike
	specials int                 // pieces of it that are kept or in use
	refused  int                 // how many pieces to go without asking for it again
	round    int                 // of reclaims
	idle     []scratch           // in the order in which they came back
	bytes    int                 // of these
	closed   bool
}

// scratch is a piece of it.
type scratch struct {
	mem     []byte // as long as was asked for; the capacity is the piece's size
	special bool
	round   int // of reclaims when it was taken
}

const (
	// maxIdleScratch bounds what is kept, in bytes.
	maxIdleScratch = 256 << 20
	// specialScratch is from where on a piece is special memory, and maxSpecials how many are:
	// each takes a descriptor, and links know so many pieces at a time, the caller's among them.
	specialScratch = 64 << 10
	maxSpecials    = 32
	// askAgain is after how many pieces the endpoint is asked again that had no special memory.
	askAgain = 1000
)

// get returns n bytes. They begin at a multiple of 64, and are not zero.
func (m *scratchMemory) get(n int) scratch {
	size := scratchSize(n)
	if size == 0 {
		return scratch{}
	}
	for i, s := range slices.Backward(m.idle) {
		if cap(s.mem) == size {
			m.take(i)
			s.mem, s.round = s.mem[:n], m.round
			return s
		}
	}
	if m.special != nil && size >= specialScratch {
		if b := m.makeSpecial(size); b != nil {
			return scratch{b[:n:size], true, m.round}
		}
	}
	return scratch{mem: ordinaryScratch(n)}
}

// makeSpecial makes a piece of special memory, nil when it can't be one.
func (m *scratchMemory) makeSpecial(size int) []byte {
	if m.refused > 0 {
		m.refused--
		return nil
	}
	if m.specials == maxSpecials {
		i := slices.IndexFunc(m.idle, func(s scratch) bool { return s.special })
		if i < 0 {
			return nil
		}
		m.drop(m.take(i))
	}
	b, err := m.special.Alloc(size)
	if err != nil { // the endpoint has logged it
		m.refused = askAgain
		return nil
	}
	m.specials++
	return b
}

// ordinaryScratch returns n bytes of ordinary memory, with the capacity of a piece.
func ordinaryScratch(n int) []byte {
	size := scratchSize(n)
	return alignedBytes(size)[:n:size]
}

// put takes a piece back that nothing uses any more.
func (m *scratchMemory) put(s scratch) {
	size := cap(s.mem)
	if size == 0 {
		return
	}
	if m.closed || size > maxIdleScratch || s.special && s.round != m.round {
		m.drop(s)
		return
	}
	for m.bytes+size > maxIdleScratch {
		m.drop(m.take(0))
	}
	m.idle = append(m.idle, s)
	m.bytes += size
}

// take removes a piece from those that are kept.
func (m *scratchMemory) take(i int) scratch {
	s := m.idle[i]
	m.idle = slices.Delete(m.idle, i, i+1)
	m.bytes -= cap(s.mem)
	return s
}

// drop lets go of a piece that nothing uses any more.
func (m *scratchMemory) drop(s scratch) {
	if s.special {
		m.specials--
		m.special.Free(s.mem[:cap(s.mem)])
	}
}

// lose lets go of a piece that links may still have.
func (m *scratchMemory) lose(s scratch) {
	if s.special {
		m.specials--
	}
}

// reclaimed notes that links have taken back memory that was lent: what was special of it may have
// become ordinary, so pieces that are in use now are not kept.
func (m *scratchMemory) reclaimed() { m.round++ }

// close lets go of everything, now and as it comes back.
func (m *scratchMemory) close() {
	m.closed = true
	for len(m.idle) > 0 {
		m.drop(m.take(len(m.idle) - 1))
	}
}

// scratchSize rounds up the size of a piece, by at most a quarter, so that plans of nearly the same
// size share pieces.
func scratchSize(n int) int {
	if n <= 0 {
		return 0
	}
	step := max(64, 1<<max(0, bits.Len(uint(n-1))-3))
	return (n + step - 1) &^ (step - 1)
}
