package schedule

import "github.com/tutti-ml/tutti/topology"

// Gather up a binomial tree, see binomial.go: every rank sends the blocks of its whole subtree in
// one message. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    (p-1)/p n
//	scratch  the blocks of the subtree, on ranks that collect blocks, the root apart

var gatherBinomial = &Algorithm{
	Collective: Gather, Name: binomial,
	Build: buildGatherBinomial,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return circulantCost(bytesOf(Gather, a, elemBytes), a.Size, false)
	},
}

func buildGatherBinomial(a Args) *Program {
	p := newGather(binomial, a)
	if p.alone() {
		return p
	}
	t := fromRoot(a)
	span := topology.BinomialSpan(t.me, a.Size)
	switch {
	case t.me == 0:
		p.keepBlock()
		p.binomialUp(0, t, viewOf(Out, a.Size, 1, (a.Size-a.Root)%a.Size))
	case span == 1:
		p.binomialUp(0, t, func(_, _ int) Span { return p.all(In) })
	default:
		p.Layouts[Scratch] = turned(offsets(a.Counts), a.Rank, span)
		blocks := viewOf(Scratch, a.Size, 1, t.me)
		p.copy(blocks(t.me, 1), p.all(In))
		p.binomialUp(0, t, blocks)
	}
	return p
}
