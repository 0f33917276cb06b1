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
	special transport.Allocator // nil where all memory is alike
	refused bool                // there was not enough of it once
	idle    [][]byte            // in the order in which they came back
	bytes   int                 // of these
}

const (
	// maxIdleScratch and maxIdlePieces bound what is kept, in bytes and in pieces.
	maxIdleScratch = 256 << 20
	maxIdlePieces  = 64
	// specialScratch is from where on a piece is special memory.
	specialScratch = 64 << 10
)

// get returns n bytes. They begin at a multiple of 64, and are not zero.
func (m *scratchMemory) get(n int) []byte {
	size := scratchSize(n)
	if size == 0 {
		return nil
	}
	for i, b := range slices.Backward(m.idle) {
		if cap(b) == size {
			m.idle = slices.Delete(m.idle, i, i+1)
			m.bytes -= size
			return b[:n]
		}
	}
	if m.special != nil && !m.refused && size >= specialScratch {
		b, err := m.special.Alloc(size)
		if err == nil {
			return b[:n:size]
		}
		m.refused = true // the endpoint has logged why
	}
	return ordinaryScratch(n)
}

// ordinaryScratch returns a piece for n bytes of ordinary memory.
func ordinaryScratch(n int) []byte {
	size := scratchSize(n)
	return alignedBytes(size)[:n:size]
}

// put takes a piece back that nothing uses any more.
func (m *scratchMemory) put(b []byte) {
	if cap(b) == 0 {
		return
	}
	m.idle = append(m.idle, b)
	m.bytes += cap(b)
	for m.bytes > maxIdleScratch || len(m.idle) > maxIdlePieces {
		oldest := m.idle[0][:cap(m.idle[0])]
		m.idle = slices.Delete(m.idle, 0, 1)
		m.bytes -= len(oldest)
		if m.special != nil {
			m.special.Free(oldest)
		}
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
