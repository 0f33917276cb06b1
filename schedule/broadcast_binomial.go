package schedule

import "github.com/tutti-ml/tutti/topology"

// Broadcast down a binomial tree, see binomial.go: in each round every rank that has the vector
// sends it to one that has not. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    L n
//	scratch  none

var broadcastBinomial = &Algorithm{
	Collective: Broadcast, Name: binomial,
	Build: buildBroadcastBinomial,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return treeCost(bytesOf(Broadcast, a, elemBytes), a.Size, false)
	},
}

func buildBroadcastBinomial(a Args) *Program {
	p := newBroadcast(binomial, a, Layout{0, a.Count})
	if p.alone() {
		return p
	}
	p.binomialBroadcast(0, fromRoot(a), p.all(In), p.all(Out))
	p.keepRoot()
	return p
}
