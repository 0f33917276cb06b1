package schedule

import "github.com/tutti-ml/tutti/topology"

// Broadcast in two levels, see hierarchical.go. Over the network go chains, so that a network card
// sends the vector once, and receives it once. With g ranks on each of h hosts:
//
//  1. binomial scatter of g shards on the root's host;
//  2. each shard along a chain of hosts, among the ranks with the same number;
//  3. circulant all-gather inside each host; the root, which has everything, gets nothing.
//
// With L = ceil(log2 g) and k chunks of a shard:
//
//	rounds   2 L, and h-2+k on the network
//	bytes    2 (g-1)/g n inside the host, (h-2+k)/k n/g on the network per rank
//	scratch  none
//
// Where hosts have unequally many ranks, at most g, the vector goes along a chain of leaders, and
// down a binomial tree inside each host:
//
//	rounds   L, and h-2+k on the network
//	bytes    L n inside the host, (h-2+k)/k n on the network
//	scratch  none

var broadcastHierarchical = &Algorithm{
	Collective: Broadcast, Name: hierarchical, Pipelined: true,
	Build:   buildBroadcastHierarchical,
	Applies: hierarchicalApplies,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		n := bytesOf(Broadcast, a, elemBytes)
		hosts := topology.HostsOf(a.Hosts)
		g, h := hosts.Largest(), hosts.Count()
		if !hosts.Uniform() {
			return plus(chainCost(n, h, chunkBytes), treeCost(n, g, false))
		}
		return plus(circulantCost(n, g, false), chainCost(n/float64(g), h, chunkBytes),
			circulantCost(n, g, false))
	},
}

func buildBroadcastHierarchical(a Args) *Program {
	hosts := topology.HostsOf(a.Hosts)
	g := parts(hosts)
	p := newBroadcast(hierarchical, a, evenly(a.Count, g))
	inside, across := levels(a, hosts, a.Root)
	in, out := viewOf(In, g, 1, 0), viewOf(Out, g, 1, 0)
	have, skip := out, -1
	if a.Rank == a.Root {
		have = in
	}
	if g == 1 {
		if inside.me == 0 {
			p.chainDown(0, across, have(0, 1))
		}
		p.binomialBroadcast(1, inside, have(0, 1), out(0, 1))
		p.keepRoot()
		return p
	}
	if across.me == 0 {
		p.binomialDown(0, inside, in, out)
		skip = 0
	}
	group, shard := topology.CeilLog2(g), have(inside.me, 1)
	p.chainDown(group, across, shard)
	p.circulantAllGather(group+1, inside, shard, have, skip)
	p.keepRoot()
	return p
}
