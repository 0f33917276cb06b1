package schedule

import "github.com/tutti-ml/tutti/topology"

// All-gather by taking each rank's block from that rank, see direct.go. All others read it at about
// the same time, so that but one of them finds it in cache.

var allGatherDirect = &Algorithm{
	Collective: AllGather, Name: direct,
	Build: func(a Args) *Program {
		p := newAllGather(direct, a)
		p.directAllGather(everyone(a), p.all(In), viewOf(Out, a.Size, 1, 0))
		return p
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(AllGather, a, elemBytes)
		return directCost(n, a.Size, false, partial(a.Size))
	},
}
