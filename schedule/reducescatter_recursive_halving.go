package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce-scatter by recursive halving, nearest partner first. In round k = 1, 2, ..., l the members
// v and v xor 2^(k-1) of the core (see topology.Fold) exchange halves of the members they still
// share; what a member keeps to itself at last is its own block, or the two of the ranks that it
// stands for, one of which it then sends. Ranks beyond a power of two hand over their vector first.
//
// With l = log2 P, H = P-1 + sum over k = 1 to l of ceil((p-P)/2^k) blocks, for p = P / otherwise:
//
//	rounds   l          / l + 2
//	bytes    (p-1)/p n  / (1 + H/p + 1/p) n
//	reduced  (p-1)/p n  / (1 + H/p) n
//	scratch  n
//
// Halving by the lowest bit first shares out members whose numbers reversed are neighbours, so the
// blocks are first copied to scratch in that order; a core of two needs no copy.
//
// Canonical, with the order of recursive doubling: a rank gets the bits that a canonical all-reduce
// gives for its block.

const recursiveHalving = "recursive-halving"

var reduceScatterRecursiveHalving = &Algorithm{
	Collective: ReduceScatter, Name: recursiveHalving, Canonical: true,
	Build: buildReduceScatterRecursiveHalving,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(ReduceScatter, a, elemBytes)
		f := topology.FoldOf(a.Size)
		l := topology.FloorLog2(a.Size)
		blocks := f.Core - 1
		for k := 1; k <= l; k++ {
			blocks += (f.Extra + 1<<k - 1) >> k
		}
		share := float64(blocks) / float64(a.Size) * n
		c := topology.Cost{Messages: float64(l), Bytes: share, Reduced: share}
		if f.Extra > 0 {
			c = plus(c, topology.Cost{Messages: 2, Bytes: n + n/float64(a.Size), Reduced: n})
		}
		return c
	},
}

func buildReduceScatterRecursiveHalving(a Args) *Program {
	p := newReduceScatter(recursiveHalving, a)
	if p.alone() {
		return p
	}
	f := topology.FoldOf(a.Size)
	l := topology.FloorLog2(a.Size)
	v := f.Member(a.Rank)
	first, ranks := f.Ranks(v)
	sums, start := p.reversed(a, f, a.Rank == first)
	if a.Rank != first {
		p.send(0, first, p.all(sums))
		p.recv(l+1, first, p.all(Out))
		return p
	}
	// part is the span of n members' blocks in the order of their numbers reversed.
	part := func(b Buffer, i, n int) Span { return Span{b, start[i], start[i+n] - start[i]} }
	if ranks == 2 {
		p.recvReduce(0, first+1, p.all(Scratch), p.all(sums), reduction{})
		sums = Scratch
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
		how := reduction{left: other < v, last: k == l}
		dst := part(Scratch, mine, half)
		if how.last && ranks == 1 {
			dst = p.all(Out)
		}
		p.send(k, peer, part(sums, theirs, half))
		p.recvReduce(k, peer, dst, part(sums, mine, half), how)
		lo, sums = mine, Scratch
	}
	if ranks == 2 {
		own := part(Scratch, lo, 1)
		p.copy(p.all(Out), Span{Scratch, own.Block, 1})
		p.send(l+1, first+1, Span{Scratch, own.Block + 1, 1})
	}
	return p
}

// reversed lays out scratch for the blocks of all members in the order of their numbers reversed.
// It returns the buffer that has the rank's contribution in that order, which it fills if it is
// scratch, and the first block of each member in that order. Only ranks that combine need scratch
// where In has that order already.
func (p *Program) reversed(a Args, f topology.Fold, combines bool) (Buffer, []int) {
	copied := f.Core > 2
	start := make([]int, f.Core+1)
	var sizes []int
	for i := range f.Core {
		first, n := f.Ranks(f.Reverse(i))
		if copied {
			p.copy(Span{Scratch, start[i], n}, Span{In, first, n})
		}
		sizes = append(sizes, a.Counts[first:first+n]...)
		start[i+1] = start[i] + n
	}
	if copied || combines && a.Size > 2 {
		p.Layouts[Scratch] = offsets(sizes)
	}
	if copied {
		return Scratch, start
	}
	return In, start
}
