package schedule

import "github.com/tutti-ml/tutti/topology"

// All-to-all in rounds k = 1 to p-1: send the block for rank r+k to it, receive that of r-k. Each
// block travels once, straight to its rank.
//
//	rounds   p-1
//	bytes    (p-1)/p n
//	scratch  none; in place two blocks of the largest size
//
// In place a block can come in only where one has gone out, and it must not wait for that, or two
// ranks would wait for each other. So the rounds k and p-k, which exchange blocks with the same two
// ranks, follow each other: what arrives in round k waits in scratch until round p-k has sent the
// block that it replaces, and what arrives in round p-k replaces the block that round k has sent.

const pairwise = "pairwise"

var allToAllPairwise = &Algorithm{
	Collective: AllToAll, Name: pairwise,
	Build: buildAllToAllPairwise,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return ringCost(bytesOf(AllToAll, a, elemBytes), a.Size, false)
	},
}

func buildAllToAllPairwise(a Args) *Program {
	p := newAllToAll(pairwise, a)
	t := everyone(a)
	if a.InPlace {
		p.pairwiseInPlace(a, t)
		return p
	}
	p.copy(Span{Out, a.Rank, 1}, Span{In, a.Rank, 1})
	for k := 1; k < a.Size; k++ {
		to, from := t.peer(a.Rank+k), t.peer(a.Rank-k)
		p.send(k, to, Span{In, to, 1})
		p.recv(k, from, Span{Out, from, 1})
	}
	return p
}

func (p *Program) pairwiseInPlace(a Args, t team) {
	if a.Size == 1 {
		return
	}
	number := min(2, a.Size/2)
	places, at := slots(a.RecvCounts, number)
	p.Layouts[Scratch] = places
	group := 0
	for k := 1; k <= a.Size/2; k++ {
		after, before := t.peer(a.Rank+k), t.peer(a.Rank-k)
		place := at(k%number, a.RecvCounts[before])
		p.send(group, after, Span{In, after, 1})
		p.recv(group, before, place)
		group++
		if after != before {
			p.send(group, before, Span{In, before, 1})
			p.recv(group, after, Span{Out, after, 1})
			group++
		}
		p.copy(Span{Out, before, 1}, place)
	}
}
