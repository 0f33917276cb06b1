package schedule

import (
	"math/bits"

	"github.com/tutti-ml/tutti/topology"
)

// The binomial tree phases, which several algorithms are made of. Over a team of p members they
// take L = ceil(log2 p) rounds.

const binomial = "binomial"

// binomialReduce combines in over the team into member root. Members beyond a power of two first
// hand their vector to a neighbour. Then, in rounds d = 1, 2, 4, ..., the members of the core (see
// topology.Fold) whose number differs from the root's in bit d send what they have to the member
// across that bit and are done. That is a binomial tree around the root, and combines in the
// canonical order of recursive doubling, whatever the root. Partial sums grow in acc, and last
// marks the root's. It returns where the caller's sum is.
func (p *Program) binomialReduce(group int, t team, root int, in, acc Span, last bool) Span {
	f := topology.FoldOf(t.size)
	v, goal := f.Member(t.me), f.Member(root)
	speaker := func(member int) int {
		first, _ := f.Ranks(member)
		if member == goal {
			return root
		}
		return first
	}
	sum := in
	if first, n := f.Ranks(v); n == 2 {
		other := 2*first + 1 - t.me
		if t.me != speaker(v) {
			p.send(group, t.peer(other), sum)
			return sum
		}
		p.recvReduce(group, t.peer(other), acc, sum, reduction{left: other < t.me})
		sum = acc
	}
	if f.Extra > 0 {
		group++
	}
	for d := 1; d < f.Core; d *= 2 {
		other := v ^ d
		peer := t.peer(speaker(other))
		if (v^goal)&d != 0 {
			p.send(group, peer, sum)
			return sum
		}
		p.recvReduce(group, peer, acc, sum, reduction{
			left: other < v, last: last && t.me == root && 2*d == f.Core,
		})
		sum = acc
		group++
	}
	return sum
}

// combines reports whether binomialReduce to root makes the caller combine anything.
func combines(t team, root int) bool {
	f := topology.FoldOf(t.size)
	v, goal := f.Member(t.me), f.Member(root)
	first, n := f.Ranks(v)
	if n == 2 {
		return t.me == root || (t.me == first && v != goal)
	}
	return f.Core > 1 && (v^goal)&1 == 0
}

// binomialBroadcast copies from of the team's first member to all others' out, by a tree that
// sends to the largest subtree first.
func (p *Program) binomialBroadcast(group int, t team, from, out Span) {
	p.binomialDown(group, t, func(_, _ int) Span { return from }, func(_, _ int) Span { return out })
}

// binomialDown hands blocks down the tree that starts at the team's first member: member i gets
// the n blocks out(i, n) of its subtree from its parent. The first member takes them from in.
func (p *Program) binomialDown(group int, t team, in, out view) {
	tree := topology.Binomial(t.me, t.size, 0)
	round := func(child int) int {
		return group + topology.CeilLog2(t.size) - bits.TrailingZeros(uint(child)) - 1
	}
	from := in
	if tree.Parent >= 0 {
		p.recv(round(t.me), t.peer(tree.Parent), out(t.me, topology.BinomialSpan(t.me, t.size)))
		from = out
	}
	for _, child := range tree.Children {
		p.send(round(child), t.peer(child), from(child, topology.BinomialSpan(child, t.size)))
	}
}

// binomialUp gathers blocks up the tree that ends at the team's first member: member i sends the
// blocks acc(i, n) of its subtree, where its own must be already, to its parent.
func (p *Program) binomialUp(group int, t team, acc view) {
	tree := topology.Binomial(t.me, t.size, 0)
	round := func(child int) int { return group + bits.TrailingZeros(uint(child)) }
	for i := len(tree.Children) - 1; i >= 0; i-- {
		child := tree.Children[i]
		p.recv(round(child), t.peer(child), acc(child, topology.BinomialSpan(child, t.size)))
	}
	if tree.Parent >= 0 {
		p.send(round(t.me), t.peer(tree.Parent), acc(t.me, topology.BinomialSpan(t.me, t.size)))
	}
}
