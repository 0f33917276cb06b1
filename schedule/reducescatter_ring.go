package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce-scatter around the ring, see ring.go:
//
//	rounds   p-1
//	bytes    (p-1)/p n
//	reduced  (p-1)/p n
//	scratch  two blocks of the largest size; none for p = 2
//
// The partial sum of a round is sent in the next one, while that one's comes in; so two places,
// used in turn, are enough.

var reduceScatterRing = &Algorithm{
	Collective: ReduceScatter, Name: ring,
	Build: buildReduceScatterRing,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return ringCost(bytesOf(ReduceScatter, a, elemBytes), a.Size, true)
	},
}

func buildReduceScatterRing(a Args) *Program {
	p := newReduceScatter(ring, a)
	if p.alone() {
		return p
	}
	places, at := slots(a.Counts, min(2, a.Size-2))
	if a.Size > 2 {
		p.Layouts[Scratch] = places
	}
	p.ringReduceScatter(0, everyone(a), viewOf(In, a.Size, 1, 0),
		func(k, block int) Span { return at(k%2, a.Counts[block]) }, p.all(Out))
	return p
}
