package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce by a direct reduce-scatter and a direct all-gather, see direct.go, chunk by chunk: a
// chunk of the result is gathered right after it was combined, while it is in cache, and so is the
// memory that it goes to, which was read for the other rank's sum. Counted as in direct.go:
//
//	rounds   2 (p-1) k, for blocks of k chunks
//	bytes    2 (p-1)/p n
//	reduced  (p-1)/p n
//	scratch  none

var allReduceDirect = &Algorithm{
	Collective: AllReduce, Name: direct, Pipelined: true,
	Build: buildAllReduceDirect,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		n := bytesOf(AllReduce, a, elemBytes)
		c := plus(
			directCost(n, a.Size, true, partial(a.Size)),
			directCost(n, a.Size, false, foreign(a.Size)),
		)
		c.Messages *= segments(n/float64(a.Size), chunkBytes)
		return c
	},
}

func buildAllReduceDirect(a Args) *Program {
	p := newProgram(AllReduce, direct, a)
	blocks := evenly(a.Count, a.Size)
	p.Layouts[In], p.Layouts[Out] = blocks, blocks
	if p.alone() {
		return p
	}
	t := everyone(a)
	in, out := viewOf(In, a.Size, 1, 0), viewOf(Out, a.Size, 1, 0)
	own := out(a.Rank, 1)
	p.directReduceScatter(t, in, own)
	p.directAllGather(t, own, out)
	return p
}
