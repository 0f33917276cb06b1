package schedule

import "github.com/tutti-ml/tutti/topology"

// Gather straight from every rank to the root:
//
//	rounds   p-1
//	bytes    (p-1)/p n
//	scratch  none

var gatherLinear = &Algorithm{
	Collective: Gather, Name: linear,
	Build: buildGatherLinear,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return ringCost(bytesOf(Gather, a, elemBytes), a.Size, false)
	},
}

func buildGatherLinear(a Args) *Program {
	p := newGather(linear, a)
	if p.alone() {
		return p
	}
	if a.Rank != a.Root {
		p.send(0, a.Root, p.all(In))
		return p
	}
	p.keepBlock()
	for i := 1; i < a.Size; i++ {
		r := (a.Root + i) % a.Size
		p.recv(0, r, Span{Out, r, 1})
	}
	return p
}
