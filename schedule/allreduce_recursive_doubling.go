package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce by recursive doubling: in round k = 1, 2, ... the members v and v xor 2^(k-1) of the
// core exchange all they have combined so far, the lower member's operand on the left. Ranks
// beyond a power of two hand their vector to a neighbour first and get the result from it last.
// It has the fewest rounds, for vectors so short that latency is all that counts.
//
// Let P be the greatest power of two up to p, l = log2 P. For p = P / otherwise:
//
//	rounds   l   / l+2
//	bytes    l n / (l+2) n
//	reduced  l n / (l+1) n
//	scratch  n; none out of place for p = 2
//
// The partial sum of a round is being sent while the next one grows, so the two never share
// memory: they take turns between Out and scratch such that the last one is in Out. In place, where
// the first one is in Out already and an odd number of turns would end in scratch, the first
// message goes to scratch and is combined from there.
//
// Canonical: an element's contributions are combined in pairs of neighbours (0 op 1) op (2 op 3),
// after the first 2(p-P) ranks have been combined two by two.
//
// Source: R. Thakur, R. Rabenseifner, W. Gropp, Optimization of Collective Communication
// Operations in MPICH, 2005.

const recursiveDoubling = "recursive-doubling"

var allReduceRecursiveDoubling = &Algorithm{
	Collective: AllReduce, Name: recursiveDoubling, Canonical: true,
	Build: buildAllReduceRecursiveDoubling,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(AllReduce, a, elemBytes)
		f := topology.FoldOf(a.Size)
		l := float64(topology.FloorLog2(a.Size))
		if f.Extra == 0 {
			return topology.Cost{Messages: l, Bytes: l * n, Reduced: l * n}
		}
		return topology.Cost{Messages: l + 2, Bytes: (l + 2) * n, Reduced: (l + 1) * n}
	},
}

func buildAllReduceRecursiveDoubling(a Args) *Program {
	p := newProgram(AllReduce, recursiveDoubling, a)
	whole := Layout{0, a.Count}
	p.Layouts[In], p.Layouts[Out] = whole, whole
	if p.alone() {
		return p
	}
	f := topology.FoldOf(a.Size)
	rounds := topology.FloorLog2(a.Size)
	v := f.Member(a.Rank)
	first, ranks := f.Ranks(v)
	if a.Rank != first {
		p.send(0, first, p.all(In))
		p.recv(rounds+1, first, p.all(Out))
		return p
	}
	turn := func(round int) Span {
		if (rounds-round)%2 == 0 {
			return p.all(Out)
		}
		p.Layouts[Scratch] = whole
		return p.all(Scratch)
	}
	sum := p.all(In)
	if ranks == 2 {
		next := turn(0)
		p.recvReduce(0, first+1, next, sum, reduction{})
		sum = next
	}
	for k := 1; k <= rounds; k++ {
		other := v ^ 1<<(k-1)
		peer, _ := f.Ranks(other)
		how := reduction{left: other < v, last: k == rounds, mirrored: true}
		next := turn(k)
		p.send(k, peer, sum)
		if a.InPlace && sum.Buf == In && next.Buf == Out {
			p.Layouts[Scratch] = whole
			p.recv(k, peer, p.all(Scratch))
			p.localReduce(next, sum, p.all(Scratch), how)
		} else {
			p.recvReduce(k, peer, next, sum, how)
		}
		sum = next
	}
	if ranks == 2 {
		p.send(rounds+1, first+1, sum)
	}
	return p
}
