package schedule

import "github.com/tutti-ml/tutti/topology"

// All-gather around the ring, see ring.go:
//
//	rounds   p-1
//	bytes    (p-1)/p n
//	scratch  none

var allGatherRing = &Algorithm{
	Collective: AllGather, Name: ring,
	Build: func(a Args) *Program {
		p := newAllGather(ring, a)
		p.ringAllGather(0, everyone(a), p.all(In), viewOf(Out, a.Size, 1, 0))
		return p
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return ringCost(bytesOf(AllGather, a, elemBytes), a.Size, false)
	},
}
