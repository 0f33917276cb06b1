package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce-scatter in two levels, see hierarchical.go, where the ranks of each host follow each
// other: a hierarchical all-gather backwards. With at most g ranks on each of h hosts:
//
//  1. the vector along a chain inside each host to its leader, in k chunks, in the order in which
//     they are sent on;
//  2. circulant reduce-scatter of whole hosts' blocks among leaders;
//  3. each leader sends the ranks of its host their blocks.
//
// The costs, with equally many ranks everywhere and L = ceil(log2 h):
//
//	rounds   g-2+k + g-1, and L on the network
//	bytes    (g-2+k)/k n + (g-1)/g n/h inside the host, (h-1)/h n on the network
//	reduced  (g-2+k)/k n + (h-1)/h n
//	scratch  n on leaders and on ranks inside a chain

var reduceScatterHierarchical = &Algorithm{
	Collective: ReduceScatter, Name: hierarchical, Pipelined: true,
	Build:   buildReduceScatterHierarchical,
	Applies: hierarchicalBlocks,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		n := bytesOf(ReduceScatter, a, elemBytes)
		hosts := topology.HostsOf(a.Hosts)
		g, h := hosts.Largest(), hosts.Count()
		local := chainCost(n, g, chunkBytes)
		local.Reduced = local.Bytes
		return plus(local, circulantCost(n, h, true), ringCost(n*float64(g)/float64(a.Size), g, false))
	},
}

func buildReduceScatterHierarchical(a Args) *Program {
	hosts := topology.HostsOf(a.Hosts)
	p := newReduceScatter(hierarchical, a)
	inside, across := levels(a, hosts, 0)
	skips := topology.Skips(across.size)
	farthest := hosts.Leader(across.index(across.me + skips[len(skips)-2])) // sent on first
	whole := func(b Buffer) Span { return Span{b, farthest, a.Size} }
	if inside.me == 0 || inside.me < inside.size-1 {
		p.Layouts[Scratch] = p.Layouts[In]
	}
	sum := p.chainUp(0, inside, whole(In), whole(Scratch), false)
	group := 1 + topology.CeilLog2(across.size)
	if inside.me > 0 {
		p.recv(group+inside.me, inside.peer(0), p.all(Out))
		return p
	}
	sums := hostBlocks(Scratch, hosts)
	own, alone := sums(across.me, 1), inside.size == 1
	if alone {
		own = p.all(Out)
	}
	p.circulantReduceScatter(1, across, hostBlocks(sum.Buf, hosts), sums, !alone, own, true)
	if alone {
		return p
	}
	for i := 1; i < inside.size; i++ {
		p.send(group+i, inside.peer(i), Span{Scratch, own.Block + i, 1})
	}
	p.copy(p.all(Out), Span{Scratch, own.Block, 1})
	return p
}
