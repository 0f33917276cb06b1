package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce up a binomial tree, see binomial.go. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    L n
//	reduced  L n
//	scratch  n on ranks that combine, the root apart
//
// Canonical, with the order of recursive doubling: the root gets the bits that a canonical
// all-reduce gives, whichever rank it is.

var reduceBinomial = &Algorithm{
	Collective: Reduce, Name: binomial, Canonical: true,
	Build: buildReduceBinomial,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return treeCost(bytesOf(Reduce, a, elemBytes), a.Size, true)
	},
}

func buildReduceBinomial(a Args) *Program {
	p, acc := newReduce(binomial, a, Layout{0, a.Count})
	if p.alone() {
		return p
	}
	t := everyone(a)
	if acc == Scratch && combines(t, a.Root) {
		p.Layouts[Scratch] = p.Layouts[In]
	}
	p.binomialReduce(0, t, a.Root, p.all(In), Span{acc, 0, 1}, true)
	return p
}
