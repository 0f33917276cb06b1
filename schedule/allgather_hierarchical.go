package schedule

import "github.com/tutti-ml/tutti/topology"

// All-gather in two levels, see hierarchical.go, where the ranks of each host follow each other.
// With at most g ranks on each of h hosts, L(x) being ceil(log2 x):
//
//  1. binomial gather of its host's blocks to each leader;
//  2. circulant all-gather of whole hosts' blocks among leaders;
//  3. the vector along a chain inside each host, in k chunks, in the order in which they arrive.
//
// The costs, with equally many ranks everywhere:
//
//	rounds   L(g) + g-2+k, and L(h) on the network
//	bytes    (g-1)/g n/h + (g-2+k)/k n inside the host, (h-1)/h n on the network
//	scratch  none

var allGatherHierarchical = &Algorithm{
	Collective: AllGather, Name: hierarchical, Pipelined: true,
	Build:   buildAllGatherHierarchical,
	Applies: hierarchicalBlocks,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		n := bytesOf(AllGather, a, elemBytes)
		hosts := topology.HostsOf(a.Hosts)
		g, h := hosts.Largest(), hosts.Count()
		return plus(circulantCost(n*float64(g)/float64(a.Size), g, false), circulantCost(n, h, false),
			chainCost(n, g, chunkBytes))
	},
}

func buildAllGatherHierarchical(a Args) *Program {
	hosts := topology.HostsOf(a.Hosts)
	p := newAllGather(hierarchical, a)
	inside, across := levels(a, hosts, 0)
	first := inside.peer(0)
	p.binomialUp(0, inside, func(i, n int) Span { return Span{Out, first + i, n} })
	group := topology.CeilLog2(hosts.Largest())
	if inside.me == 0 {
		out := hostBlocks(Out, hosts)
		p.circulantAllGather(group, across, out(across.me, 1), out, -1)
	}
	p.chainDown(group+topology.CeilLog2(hosts.Count()), inside, Span{Out, first, a.Size})
	return p
}
