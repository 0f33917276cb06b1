package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce by circulant reduce-scatter and circulant all-gather, see circulant.go. For every
// number of ranks, not only powers of two, it moves the least that is possible in twice the least
// number of rounds. With L = ceil(log2 p):
//
//	rounds   2 L
//	bytes    2 (p-1)/p n
//	reduced  (p-1)/p n
//	scratch  none
//
// Out of place and with an odd p > 5 one block is copied from In to Out first, because it is sent
// together with blocks that have been added to.

var allReduceCirculant = &Algorithm{
	Collective: AllReduce, Name: circulant,
	Build: buildAllReduceCirculant,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(AllReduce, a, elemBytes)
		return plus(circulantCost(n, a.Size, true), circulantCost(n, a.Size, false))
	},
}

func buildAllReduceCirculant(a Args) *Program {
	p := newProgram(AllReduce, circulant, a)
	blocks := evenly(a.Count, a.Size)
	p.Layouts[In], p.Layouts[Out] = blocks, blocks
	if p.alone() {
		return p
	}
	t := everyone(a)
	in, out := viewOf(In, a.Size, 1, 0), viewOf(Out, a.Size, 1, 0)
	own := out(a.Rank, 1)
	group := p.circulantReduceScatter(0, t, in, out, a.InPlace, own, true)
	p.circulantAllGather(group, t, own, out, -1)
	return p
}
