package schedule

import "github.com/tutti-ml/tutti/topology"

// Scatter down a binomial tree, see binomial.go: every rank gets the blocks of its whole subtree in
// one message and passes parts on. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    (p-1)/p n
//	scratch  the blocks of the subtree, on ranks that pass blocks on, the root apart

var scatterBinomial = &Algorithm{
	Collective: Scatter, Name: binomial,
	Build: buildScatterBinomial,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return circulantCost(bytesOf(Scatter, a, elemBytes), a.Size, false)
	},
}

func buildScatterBinomial(a Args) *Program {
	p := newScatter(binomial, a)
	if p.alone() {
		return p
	}
	t := fromRoot(a)
	in := viewOf(In, a.Size, 1, (a.Size-a.Root)%a.Size)
	span := topology.BinomialSpan(t.me, a.Size)
	switch {
	case t.me == 0:
		p.binomialDown(0, t, in, nil)
		p.keepBlock()
	case span == 1:
		p.binomialDown(0, t, nil, func(_, _ int) Span { return p.all(Out) })
	default:
		p.Layouts[Scratch] = turned(offsets(a.Counts), a.Rank, span)
		blocks := viewOf(Scratch, a.Size, 1, t.me)
		p.binomialDown(0, t, nil, blocks)
		p.copy(p.all(Out), blocks(t.me, 1))
	}
	return p
}
