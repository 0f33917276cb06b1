package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce in one shot: every rank sends its vector to every other one, and each combines them all
// by itself. It moves p-1 vectors where others move a few, but no rank waits for what another makes
// of a third one's: where ranks take turns on a host's cores, each needs the core once for a call,
// and not once for each round.
//
//	rounds   p-1
//	bytes    (p-1) n
//	reduced  (p-1) n
//	scratch  (p-1) n
//
// Canonical: the vectors are combined in the order of recursive doubling: in pairs of neighbours, after
// the first 2(p-P) ranks, P the greatest power of two up to p, have been combined two by two.

const oneShot = "one-shot"

var allReduceOneShot = &Algorithm{
	Collective: AllReduce, Name: oneShot, Canonical: true, Build: buildAllReduceOneShot,
	Applies: oneShotApplies,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n, others := bytesOf(AllReduce, a, elemBytes), float64(a.Size-1)
		return topology.Cost{Messages: others, Bytes: others * n, Reduced: others * n}
	},
}

func buildAllReduceOneShot(a Args) *Program {
	p := newProgram(AllReduce, oneShot, a)
	whole := Layout{0, a.Count}
	p.Layouts[In], p.Layouts[Out] = whole, whole
	if p.alone() {
		return p
	}
	vectors := make([]int, a.Size-1)
	for i := range vectors {
		vectors[i] = a.Count
	}
	p.Layouts[Scratch] = offsets(vectors)
	sums := make([]Span, a.Size) // by rank: what is there of it, or of it and those after it
	t := everyone(a)
	sums[a.Rank] = p.all(In)
	for k := 1; k < a.Size; k++ {
		from := t.index(a.Rank - k)
		sums[from] = Span{Scratch, k - 1, 1}
		p.send(k, t.peer(a.Rank+k), p.all(In))
		p.recv(k, from, sums[from])
	}
	p.combineCanonically(sums)
	return p
}

// combineCanonically combines the vectors of all ranks into Out, in the order that all canonical
// algorithms share. All but the one in In may be overwritten.
func (p *Program) combineCanonically(vectors []Span) {
	type sum struct {
		Span
		ranks int
	}
	left := len(vectors) - 1
	join := func(a, b sum) sum {
		left--
		dst := a.Span
		switch {
		case left == 0:
			dst = p.all(Out)
		case a.Buf == In:
			dst = b.Span
		}
		// Of the vectors only the own one has not been through a message, and what a rank combines
		// with its own it has to round.
		own := a.Buf == In || b.Buf == In
		mirrored := own || (a.ranks == 1) != (b.ranks == 1)
		p.localReduce(dst, a.Span, b.Span, reduction{last: left == 0, mirrored: mirrored})
		return sum{dst, a.ranks + b.ranks}
	}
	f := topology.FoldOf(len(vectors))
	members := make([]sum, f.Core)
	for v := range members {
		first, ranks := f.Ranks(v)
		if members[v] = (sum{vectors[first], 1}); ranks == 2 {
			members[v] = join(members[v], sum{vectors[first+1], 1})
		}
	}
	for ; len(members) > 1; members = members[:len(members)/2] {
		for i := range len(members) / 2 {
			members[i] = join(members[2*i], members[2*i+1])
		}
	}
}
