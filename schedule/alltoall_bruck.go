package schedule

import (
	"errors"
	"math/bits"

	"github.com/tutti-ml/tutti/topology"
)

// All-to-all in the least number of rounds, for blocks so short that latency is all that counts.
// The block for rank r+i has the distance i to go. Round k sends all blocks whose distance has bit
// k, in one message, to rank r+2^k; so each block gets to its rank by the bits of its distance.
// With L = ceil(log2 p) and M = sum over k of the number of distances below p that have bit k,
// which is L p/2 for powers of two:
//
//	rounds   L
//	bytes    M n/p
//	scratch  M blocks, and two times p/2
//
// Blocks of one message must be neighbours, so each round has its own place in scratch, in which
// its blocks are put together: those that start with it at once, the others as they arrive. That
// reads all of In before Out is written, so it is right in place too.
//
// All blocks must have the same size on all ranks, which only Args.Count can tell.
//
// Source: J. Bruck et al., Efficient Algorithms for All-to-All Communications in Multiport
// Message-Passing Systems, 1997.

const bruck = "bruck"

var errUneven = errors.New("schedule: bruck needs blocks of one size on all ranks, given as Count")

var allToAllBruck = &Algorithm{
	Collective: AllToAll, Name: bruck,
	Build: buildAllToAllBruck,
	Applies: func(a Args) error {
		if a.Count <= 0 {
			return errUneven
		}
		return nil
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		moved := 0
		for i := range a.Size {
			moved += bits.OnesCount(uint(i))
		}
		return topology.Cost{
			Messages: rounds(a.Size), Bytes: float64(moved) * float64(a.Count) * float64(elemBytes),
		}
	},
}

func buildAllToAllBruck(a Args) *Program {
	p := newAllToAll(bruck, a)
	p.keep(Span{Out, a.Rank, 1}, Span{In, a.Rank, 1})
	t := everyone(a)
	l := topology.CeilLog2(a.Size)
	first, arrivals, last := bruckPlaces(a.Size)
	if last > 0 {
		sizes := make([]int, last)
		for i := range sizes {
			sizes[i] = a.Count
		}
		p.Layouts[Scratch] = offsets(sizes)
	}
	for i := 1; i < a.Size; i++ {
		k := bits.TrailingZeros(uint(i))
		p.copy(Span{Scratch, first[k] + bruckPosition(i, k), 1}, Span{In, t.index(a.Rank + i), 1})
	}
	for k := range l {
		n := first[k+1] - first[k]
		arrived := arrivals[k%2]
		p.send(k, t.peer(a.Rank+1<<k), Span{Scratch, first[k], n})
		p.recv(k, t.peer(a.Rank-1<<k), Span{Scratch, arrived, n})
		for i := 1 << k; i < a.Size; i++ {
			if i>>k&1 == 0 {
				continue
			}
			from := Span{Scratch, arrived + bruckPosition(i, k), 1}
			if rest := i >> (k + 1); rest == 0 {
				p.copy(Span{Out, t.index(a.Rank - i), 1}, from)
			} else {
				next := k + 1 + bits.TrailingZeros(uint(rest))
				p.copy(Span{Scratch, first[next] + bruckPosition(i, next), 1}, from)
			}
		}
	}
	return p
}

// bruckPlaces returns the first scratch block of what each round sends, of the two places in which
// rounds receive in turn, and the number of blocks.
func bruckPlaces(size int) (first []int, arrivals [2]int, last int) {
	l := topology.CeilLog2(size)
	first = make([]int, l+1)
	most := 0
	for k := range l {
		n := bruckPosition(size, k)
		first[k+1] = first[k] + n
		most = max(most, n)
	}
	arrivals[0] = first[l]
	arrivals[1] = first[l] + most
	if l < 2 {
		return first, arrivals, first[l] + most
	}
	return first, arrivals, first[l] + 2*most
}

// bruckPosition returns how many distances below i have bit k.
func bruckPosition(i, k int) int {
	whole := i >> (k + 1) << k
	return whole + max(0, i&(1<<(k+1)-1)-1<<k)
}
