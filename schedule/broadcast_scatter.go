package schedule

import "github.com/tutti-ml/tutti/topology"

// Broadcast by a binomial scatter of p blocks and a circulant all-gather of them, see binomial.go
// and circulant.go. The root, which has everything, gets nothing. With L = ceil(log2 p):
//
//	rounds   2 L
//	bytes    2 (p-1)/p n
//	scratch  none
//
// Source: M. Barnett et al., Interprocessor collective communication library, 1994, with the
// circulant all-gather, which suits every number of ranks.

var broadcastScatterAllGather = &Algorithm{
	Collective: Broadcast, Name: "scatter-allgather",
	Build: buildBroadcastScatterAllGather,
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		n := bytesOf(Broadcast, a, elemBytes)
		return plus(circulantCost(n, a.Size, false), circulantCost(n, a.Size, false))
	},
}

func buildBroadcastScatterAllGather(a Args) *Program {
	p := newBroadcast("scatter-allgather", a, evenly(a.Count, a.Size))
	if p.alone() {
		return p
	}
	t := fromRoot(a)
	in, out := viewOf(In, a.Size, 1, 0), viewOf(Out, a.Size, 1, 0)
	p.binomialDown(0, t, in, out)
	have := out
	if t.me == 0 {
		have = in
	}
	p.circulantAllGather(topology.CeilLog2(a.Size), t, have(t.me, 1), have, 0)
	p.keepRoot()
	return p
}
