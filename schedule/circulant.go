package schedule

import "github.com/tutti-ml/tutti/topology"

// The circulant phases, which several algorithms are made of. A member i of a team of p keeps its
// blocks by their distance from its own: distance j is block i+j. With the skips s[0] = 1, ...,
// s[q] = p of package topology, q = ceil(log2 p):
//
//   - reduce-scatter, k = q-1 down to 0: send the partial sums at distances s[k] to s[k+1]-1 to
//     member i+s[k], add what comes from i-s[k] to those at 0 to s[k+1]-s[k]-1;
//   - all-gather, k = 0 up to q-1: send distances 0 to s[k+1]-s[k]-1 to member i-s[k], receive
//     distances s[k] to s[k+1]-1 from i+s[k].
//
// Both take q rounds and move (p-1)/p of the vector for every p, which is the least that is
// possible. What a round sends is never what it receives into.
//
// Source: J. L. Träff, Optimal, Non-pipelined Reduce-scatter and Allreduce Algorithms, 2024; the
// all-gather is that of J. Bruck et al., 1997, without its final rotation.

const circulant = "circulant"

// circulantReduceScatter combines the team's vectors, seen through in, and puts the caller's own
// block into dst. Partial sums go through acc, which must show circulantPartials distances; same
// says that in and acc show the same memory. last says that the sums are then complete.
// It returns the group after its last one.
func (p *Program) circulantReduceScatter(
	group int, t team, in, acc view, same bool, dst Span, last bool,
) int {
	s := topology.Skips(t.size)
	q := len(s) - 1
	for k := q - 1; k >= 0; k-- {
		lo, n := s[k], s[k+1]-s[k]
		from := acc
		switch {
		case k == q-1 || n == 1 && untouched(s, k):
			from = in
		case untouched(s, k) && !same:
			p.copy(acc(t.me+s[k+1]-1, 1), in(t.me+s[k+1]-1, 1))
		}
		p.send(group, t.peer(t.me+lo), from(t.me+lo, n))
		a, sum := acc(t.me, n), acc(t.me, n)
		if k == q-1 {
			a = in(t.me, n)
		}
		if k == 0 {
			sum = dst
		}
		p.recvReduce(group, t.peer(t.me-lo), sum, a, reduction{last: last && k == 0})
		group++
	}
	return group
}

// untouched reports whether round k sends a block that no round before has added to: the farthest
// one of the second round, for odd sizes.
func untouched(s []int, k int) bool {
	q := len(s) - 1
	return k == q-2 && s[q]-s[q-1] < s[q-1]
}

// circulantPartials returns how many distances circulantReduceScatter keeps in acc.
func circulantPartials(size int) int {
	switch size {
	case 2:
		return 0 // the first round is the last
	case 3, 5:
		return size / 2 // the block that nothing is added to is sent alone, from in
	}
	return (size + 1) / 2
}

// circulantAllGather gives every member's block, own being the caller's, to all members, seen
// through out; out(me, 1) must hold own too. Member skip gets nothing; -1 skips nobody.
// It returns the group after its last one.
func (p *Program) circulantAllGather(group int, t team, own Span, out view, skip int) int {
	s := topology.Skips(t.size)
	for k := range len(s) - 1 {
		lo, n := s[k], s[k+1]-s[k]
		from := out(t.me, n)
		if k == 0 {
			from = own
		}
		if (t.me-lo+t.size)%t.size != skip {
			p.send(group, t.peer(t.me-lo), from)
		}
		if t.me != skip {
			p.recv(group, t.peer(t.me+lo), out(t.me+lo, n))
		}
		group++
	}
	return group
}
