package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce by a circulant reduce-scatter of p blocks and a binomial gather of the sums, see
// circulant.go and binomial.go. With L = ceil(log2 p):
//
//	rounds   2 L
//	bytes    2 (p-1)/p n
//	reduced  (p-1)/p n
//	scratch  n/2, rounded up to blocks, the root apart
//
// Source: R. Rabenseifner, Optimization of Collective Reduction Operations, 2004, with phases that
// suit every number of ranks.

const reduceScatterGatherName = "reducescatter-gather"

var reduceScatterGather = &Algorithm{
	Collective: Reduce, Name: reduceScatterGatherName,
	Build: buildReduceScatterGather,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(Reduce, a, elemBytes)
		return plus(circulantCost(n, a.Size, true), circulantCost(n, a.Size, false))
	},
}

// buildReduceScatterGather numbers blocks and ranks from the root on. Scratch holds the partial
// sums, and later the gathered blocks, by their distance from the rank's own.
func buildReduceScatterGather(a Args) *Program {
	blocks := evenly(a.Count, a.Size)
	p, acc := newReduce(reduceScatterGatherName, a, blocks)
	if p.alone() {
		return p
	}
	t := fromRoot(a)
	sums := viewOf(acc, a.Size, 1, 0)
	if acc == Scratch {
		keep := max(1, circulantPartials(a.Size), topology.BinomialSpan(t.me, a.Size))
		p.Layouts[Scratch] = turned(blocks, t.me, keep)
		sums = viewOf(acc, a.Size, 1, t.me)
	}
	same := acc == Out && a.InPlace
	group := p.circulantReduceScatter(0, t, viewOf(In, a.Size, 1, 0), sums, same, sums(t.me, 1), true)
	p.binomialUp(group, t, sums)
	return p
}

// turned returns the layout of n blocks counted around from block first.
func turned(blocks Layout, first, n int) Layout {
	sizes := make([]int, n)
	for i := range sizes {
		b := (first + i) % blocks.Blocks()
		sizes[i] = blocks[b+1] - blocks[b]
	}
	return offsets(sizes)
}
