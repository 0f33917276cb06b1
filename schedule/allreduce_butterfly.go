package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce by recursive halving and doubling, nearest partner first. The core (see
// topology.Fold) cuts the vector into P blocks. In halving round k = 1, 2, ..., l the members v and
// v xor 2^(k-1) exchange halves of the range they still share: each sends the half that the other
// keeps, so that v ends with the one block whose number is v with its bits reversed. Doubling goes
// the same way back. Ranks beyond a power of two hand their vector to a neighbour first and get the
// result from it last.
//
// With l = log2 P, for p = P / otherwise:
//
//	rounds   2 l          / 2 l + 2
//	bytes    2 (P-1)/P n  / (2 (P-1)/P + 2) n
//	reduced  (P-1)/P n    / ((P-1)/P + 1) n
//	scratch  none
//
// Canonical: every block is combined along distances 1, 2, 4, ..., lower member on the left, which
// is the very order of recursive doubling. So an element gets the same bits wherever it stands, in
// short vectors and in long ones. Halving from far to near, which is usual, does not have that.
//
// Source: R. Rabenseifner, Optimization of Collective Reduction Operations, 2004, with the order of
// the distances reversed.

const butterfly = "butterfly"

var allReduceButterfly = &Algorithm{
	Collective: AllReduce, Name: butterfly, Canonical: true,
	Build: buildAllReduceButterfly,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(AllReduce, a, elemBytes)
		f := topology.FoldOf(a.Size)
		l, share := float64(topology.FloorLog2(a.Size)), foreign(f.Core)
		c := topology.Cost{Messages: 2 * l, Bytes: 2 * share * n, Reduced: share * n}
		if f.Extra > 0 {
			c = plus(c, topology.Cost{Messages: 2, Bytes: 2 * n, Reduced: n})
		}
		return c
	},
}

func buildAllReduceButterfly(a Args) *Program {
	p := newProgram(AllReduce, butterfly, a)
	f := topology.FoldOf(a.Size)
	blocks := evenly(a.Count, f.Core)
	p.Layouts[In], p.Layouts[Out] = blocks, blocks
	if p.alone() {
		return p
	}
	l := topology.FloorLog2(a.Size)
	v := f.Member(a.Rank)
	first, ranks := f.Ranks(v)
	if a.Rank != first {
		p.send(0, first, p.all(In))
		p.recv(2*l+1, first, p.all(Out))
		return p
	}
	sums := In
	if ranks == 2 {
		sums = Out
		p.recvReduce(0, first+1, p.all(Out), p.all(In), reduction{})
	}
	lo := 0
	for k := 1; k <= l; k++ {
		other := v ^ 1<<(k-1)
		peer, _ := f.Ranks(other)
		half := f.Core >> k
		mine, theirs := lo, lo+half
		if other < v {
			mine, theirs = theirs, mine
		}
		p.send(k, peer, Span{sums, theirs, half})
		p.recvReduce(k, peer, Span{Out, mine, half}, Span{sums, mine, half},
			reduction{left: other < v, last: k == l})
		lo, sums = mine, Out
	}
	for k := l; k >= 1; k-- {
		peer, _ := f.Ranks(v ^ 1<<(k-1))
		n := f.Core >> k
		p.send(2*l-k+1, peer, Span{Out, lo, n})
		p.recv(2*l-k+1, peer, Span{Out, lo ^ n, n})
		lo &^= n
	}
	if ranks == 2 {
		p.send(2*l+1, first+1, p.all(Out))
	}
	return p
}
