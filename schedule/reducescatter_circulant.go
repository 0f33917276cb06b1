package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce-scatter on the circulant graph, see circulant.go. It meets all three lower bounds for
// every number of ranks. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    (p-1)/p n
//	reduced  (p-1)/p n
//	scratch  ceil(p/2) blocks; floor(p/2) for p = 3 and 5; none for p = 2

var reduceScatterCirculant = &Algorithm{
	Collective: ReduceScatter, Name: circulant,
	Build: buildReduceScatterCirculant,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return circulantCost(bytesOf(ReduceScatter, a, elemBytes), a.Size, true)
	},
}

func buildReduceScatterCirculant(a Args) *Program {
	p := newReduceScatter(circulant, a)
	if p.alone() {
		return p
	}
	if keep := circulantPartials(a.Size); keep > 0 {
		p.Layouts[Scratch] = turned(p.Layouts[In], a.Rank, keep)
	}
	in, sums := viewOf(In, a.Size, 1, 0), viewOf(Scratch, a.Size, 1, a.Rank)
	p.circulantReduceScatter(0, everyone(a), in, sums, false, p.all(Out), true)
	return p
}
