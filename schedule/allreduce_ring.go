package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce by ring reduce-scatter and ring all-gather, see ring.go. It moves as little as the
// circulant all-reduce, in more rounds, but talks to two neighbours only and in blocks of n/p:
//
//	rounds   2 (p-1)
//	bytes    2 (p-1)/p n
//	reduced  (p-1)/p n
//	scratch  none

var allReduceRing = &Algorithm{
	Collective: AllReduce, Name: ring,
	Build: buildAllReduceRing,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(AllReduce, a, elemBytes)
		return plus(ringCost(n, a.Size, true), ringCost(n, a.Size, false))
	},
}

func buildAllReduceRing(a Args) *Program {
	p := newProgram(AllReduce, ring, a)
	blocks := evenly(a.Count, a.Size)
	p.Layouts[In], p.Layouts[Out] = blocks, blocks
	if p.alone() {
		return p
	}
	t := everyone(a)
	in, out := viewOf(In, a.Size, 1, 0), viewOf(Out, a.Size, 1, 0)
	own := out(a.Rank, 1)
	group := p.ringReduceScatter(0, t, in, func(_, block int) Span { return out(block, 1) }, own)
	p.ringAllGather(group, t, own, out)
	return p
}
