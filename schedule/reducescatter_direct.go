package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce-scatter by taking the own block from all ranks, see direct.go.

var reduceScatterDirect = &Algorithm{
	Collective: ReduceScatter, Name: direct,
	Build: func(a Args) *Program {
		p := newReduceScatter(direct, a)
		if p.alone() {
			return p
		}
		p.directReduceScatter(everyone(a), viewOf(In, a.Size, 1, 0), p.all(Out))
		return p
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(ReduceScatter, a, elemBytes)
		return directCost(n, a.Size, true, partial(a.Size))
	},
}
