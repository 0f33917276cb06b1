package schedule

import (
	"fmt"

	"github.com/tutti-ml/tutti/topology"
)

// All-gather by recursive doubling, for powers of two: in round d = 1, 2, 4, ... the ranks r and
// r xor d exchange all they have, d neighbouring blocks. Unlike in the circulant all-gather a
// message never goes around the end of the vector, and partners exchange both ways.
//
//	rounds   log2 p
//	bytes    (p-1)/p n
//	scratch  none

var allGatherRecursiveDoubling = &Algorithm{
	Collective: AllGather, Name: recursiveDoubling,
	Build:   buildAllGatherRecursiveDoubling,
	Applies: powerOfTwo,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return circulantCost(bytesOf(AllGather, a, elemBytes), a.Size, false)
	},
}

// powerOfTwo refuses numbers of ranks that are no power of two.
func powerOfTwo(a Args) error {
	if !topology.PowerOfTwo(a.Size) {
		return fmt.Errorf("schedule: %d ranks are no power of two", a.Size)
	}
	return nil
}

func buildAllGatherRecursiveDoubling(a Args) *Program {
	p := newAllGather(recursiveDoubling, a)
	have := p.all(In)
	for k := range topology.FloorLog2(a.Size) {
		d := 1 << k
		first := a.Rank &^ (d - 1)
		p.send(k, a.Rank^d, have)
		p.recv(k, a.Rank^d, Span{Out, first ^ d, d})
		have = Span{Out, first &^ d, 2 * d}
	}
	return p
}
