package schedule

import "github.com/tutti-ml/tutti/topology"

// All-gather on the circulant graph, see circulant.go. It meets both lower bounds for every number
// of ranks. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    (p-1)/p n
//	scratch  none

var allGatherCirculant = &Algorithm{
	Collective: AllGather, Name: circulant,
	Build: func(a Args) *Program {
		p := newAllGather(circulant, a)
		p.circulantAllGather(0, everyone(a), p.all(In), viewOf(Out, a.Size, 1, 0), -1)
		return p
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return circulantCost(bytesOf(AllGather, a, elemBytes), a.Size, false)
	},
}
