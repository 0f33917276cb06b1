package schedule

// The ring phases, which several algorithms are made of. In a ring of p members, member i, round
// k = 0 to p-2:
//
//   - reduce-scatter: send the partial sum of block i-k-1 to i+1, combine that of block i-k-2 from
//     i-1 with the own contribution;
//   - all-gather: send block i-k to i+1, receive block i-k-1 from i-1.
//
// Block b is combined in the order of the members b+1, b+2, ..., b. Both phases take p-1 rounds
// and move (p-1)/p of the vector, over two neighbours only.
//
// Source: P. Patarasuk, X. Yuan, Bandwidth optimal all-reduce algorithms for clusters of
// workstations, 2009.

const ring = "ring"

// ringReduceScatter combines the team's vectors, seen through in, and puts the caller's own block
// into dst. The partial sum of round k goes to acc(k, block), which must not be that of the round
// before. It returns the group after its last one.
func (p *Program) ringReduceScatter(
	group int, t team, in view, acc func(k, block int) Span, dst Span,
) int {
	around := func(i int) int { return (i + 2*t.size) % t.size }
	partial := in(t.me-1, 1)
	for k := range t.size - 1 {
		block := around(t.me - k - 2)
		last := k == t.size-2
		sum := dst
		if !last {
			sum = acc(k, block)
		}
		p.send(group, t.peer(t.me+1), partial)
		p.recvReduce(group, t.peer(t.me-1), sum, in(block, 1), reduction{left: true, last: last})
		partial = sum
		group++
	}
	return group
}

// ringAllGather gives every member's block, own being the caller's, to all members, seen through
// out. It returns the group after its last one.
func (p *Program) ringAllGather(group int, t team, own Span, out view) int {
	for k := range t.size - 1 {
		p.send(group, t.peer(t.me+1), own)
		own = out(t.me-k-1, 1)
		p.recv(group, t.peer(t.me-1), own)
		group++
	}
	return group
}
