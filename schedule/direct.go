package schedule

import "github.com/tutti-ml/tutti/topology"

// The direct phases: every member takes what it needs from all others, without a member in between.
// Where ranks share memory, a receiver reads the sender's own buffer, so that a block of the vector
// goes through main memory once, and no partial sum does:
//
//   - reduce-scatter, round k = 1 to p-1: send block i-k to member i-k, combine the own block with
//     that of member i+k, on the left of it where that is the lower one;
//   - all-gather, round k: send the own block to member i-k, receive that of member i+k.
//
// Block b is combined in the order of the members b, b+1, ..., b-1. A round is a group, so that what
// goes over a link in two phases is one group there, and goes by turns, chunk by chunk; different
// links do not wait for each other. The chunk of the own block that all of a reduce-scatter's steps
// write stays in cache between them.
//
// Their counts are those of the ring:
//
//	rounds   p-1
//	bytes    (p-1)/p n
//	reduced  (p-1)/p n, or nothing
//	scratch  none

const direct = "direct"

// directReduceScatter combines the team's vectors, seen through in, and puts the caller's own block
// into dst.
func (p *Program) directReduceScatter(t team, in view, dst Span) {
	for k := 1; k < t.size; k++ {
		p.send(k, t.peer(t.me-k), in(t.me-k, 1))
	}
	sum := in(t.me, 1)
	for k := 1; k < t.size; k++ {
		how := reduction{left: t.me+k >= t.size, last: k == t.size-1}
		p.recvReduce(k, t.peer(t.me+k), dst, sum, how)
		sum = dst
	}
}

// directAllGather gives every member's block, own being the caller's, to all members, seen through
// out.
func (p *Program) directAllGather(t team, own Span, out view) {
	for k := 1; k < t.size; k++ {
		p.send(k, t.peer(t.me-k), own)
		p.recv(k, t.peer(t.me+k), out(t.me+k, 1))
	}
}

// directCost is the cost of one direct phase over n bytes, of which others than the direct algorithm
// would move the share cached through main memory.
func directCost(n float64, size int, reduces bool, cached float64) topology.Cost {
	c := ringCost(n, size, reduces)
	c.Forwarded = 0
	if c.Cached = cached * n; c.Cached > 0 {
		c.Vectors = n * float64(size)
	}
	return c
}
