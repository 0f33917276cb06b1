package schedule

import "github.com/tutti-ml/tutti/topology"

// Scatter straight from the root to every rank. No block travels twice, so on links that do not
// share the root's port, or with few ranks, it beats the tree:
//
//	rounds   p-1
//	bytes    (p-1)/p n
//	scratch  none

const linear = "linear"

var scatterLinear = &Algorithm{
	Collective: Scatter, Name: linear,
	Build: buildScatterLinear,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return ringCost(bytesOf(Scatter, a, elemBytes), a.Size, false)
	},
}

func buildScatterLinear(a Args) *Program {
	p := newScatter(linear, a)
	if p.alone() {
		return p
	}
	if a.Rank != a.Root {
		p.recv(0, a.Root, p.all(Out))
		return p
	}
	for i := 1; i < a.Size; i++ {
		r := (a.Root + i) % a.Size
		p.send(0, r, Span{In, r, 1})
	}
	p.keepBlock()
	return p
}
