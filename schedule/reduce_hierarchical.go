package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce in two levels, see hierarchical.go: a hierarchical broadcast backwards. With g ranks on
// each of h hosts:
//
//  1. circulant reduce-scatter inside each host: each rank gets its host's sum of its shard;
//  2. each shard along a chain of hosts, which ends at the root's, among ranks with the same
//     number;
//  3. binomial gather on the root's host.
//
// With L = ceil(log2 g) and k chunks of a shard:
//
//	rounds   2 L, and h-2+k on the network
//	bytes    2 (g-1)/g n inside the host, (h-2+k)/k n/g on the network per rank
//	reduced  (g-1)/g n + (h-2+k)/k n/g
//	scratch  n/2, rounded up to shards, the root apart
//
// Where hosts have unequally many ranks, at most g, the vector goes up a binomial tree inside each
// host, and along a chain of leaders:
//
//	rounds   L, and h-2+k on the network
//	bytes    L n inside the host, (h-2+k)/k n on the network
//	reduced  L n + (h-2+k)/k n
//	scratch  n on ranks that combine, the root apart

var reduceHierarchical = &Algorithm{
	Collective: Reduce, Name: hierarchical, Pipelined: true,
	Build:   buildReduceHierarchical,
	Applies: hierarchicalApplies,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		n := bytesOf(Reduce, a, elemBytes)
		hosts := topology.HostsOf(a.Hosts)
		g, h := hosts.Largest(), hosts.Count()
		network := chainCost(n/float64(parts(hosts)), h, chunkBytes)
		network.Reduced = network.Bytes
		if !hosts.Uniform() {
			return plus(treeCost(n, g, true), network)
		}
		return plus(circulantCost(n, g, true), network, circulantCost(n, g, false))
	},
}

func buildReduceHierarchical(a Args) *Program {
	hosts := topology.HostsOf(a.Hosts)
	g := parts(hosts)
	p, acc := newReduce(hierarchical, a, evenly(a.Count, g))
	inside, across := levels(a, hosts, a.Root)
	if g == 1 {
		p.reduceByLeaders(hosts, acc, inside, across)
		return p
	}
	sums := viewOf(acc, g, 1, 0)
	if acc == Scratch {
		keep := max(1, circulantPartials(g))
		if across.me == 0 {
			keep = max(keep, topology.BinomialSpan(inside.me, g))
		}
		p.Layouts[Scratch] = turned(p.Layouts[In], inside.me, keep)
		sums = viewOf(acc, g, 1, inside.me)
	}
	own := sums(inside.me, 1)
	same := acc == Out && a.InPlace
	group := p.circulantReduceScatter(0, inside, viewOf(In, g, 1, 0), sums, same, own, false)
	p.chainUp(group, across, own, own, true)
	if across.me == 0 {
		p.binomialUp(group+1, inside, sums)
	}
	return p
}

// reduceByLeaders is the program where hosts have unequally many ranks. Groups count as if each
// host had as many as the fullest one.
func (p *Program) reduceByLeaders(hosts topology.Hosts, acc Buffer, inside, across team) {
	leader := inside.me == 0
	if acc == Scratch && (combines(inside, 0) || leader && across.me < across.size-1) {
		p.Layouts[Scratch] = p.Layouts[In]
	}
	sum := p.binomialReduce(0, inside, 0, p.all(In), Span{acc, 0, 1}, false)
	if leader {
		p.chainUp(topology.CeilLog2(hosts.Largest()), across, sum, Span{acc, 0, 1}, true)
	}
}
