package schedule

import "github.com/tutti-ml/tutti/topology"

// All-to-all in two levels, see hierarchical.go. Every block crosses the network once, as it must,
// but a rank sends only one message to each other host. With g ranks on each of h hosts:
//
//  1. in rounds inside each host, rank i gives rank i+k the h blocks for the ranks with that one's
//     number;
//  2. in rounds across hosts, among ranks with the same number, each sends the g blocks that its
//     host has for the other.
//
// The costs, with blocks of b bytes:
//
//	rounds   g-1, and h-1 on the network
//	bytes    (g-1) h b inside the host, (h-1) g b on the network per rank
//	scratch  2 (g-1) h + 2 (h-1) g blocks
//
// Blocks of one message must be neighbours, so each message has its own place in scratch. All of
// In is read before Out is written, so it is right in place too. All blocks must have the same
// size on all ranks, which only Args.Count can tell.

var allToAllHierarchical = &Algorithm{
	Collective: AllToAll, Name: hierarchical,
	Build: buildAllToAllHierarchical,
	Applies: func(a Args) error {
		err := hierarchicalApplies(a)
		switch {
		case err != nil:
			return err
		case !topology.HostsOf(a.Hosts).Uniform():
			return errLopsided
		case a.Count <= 0:
			return errUneven
		}
		return nil
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		hosts := topology.HostsOf(a.Hosts)
		g, h := hosts.Largest(), hosts.Count()
		blocks := (g-1)*h + (h-1)*g
		return topology.Cost{
			Messages: float64(g + h - 2), Bytes: float64(blocks) * float64(a.Count) * float64(elemBytes),
		}
	},
}

func buildAllToAllHierarchical(a Args) *Program {
	hosts := topology.HostsOf(a.Hosts)
	p := newAllToAll(hierarchical, a)
	inside, across := levels(a, hosts, 0)
	g, h := inside.size, across.size
	sizes := make([]int, 2*(g-1)*h+2*(h-1)*g)
	for i := range sizes {
		sizes[i] = a.Count
	}
	p.Layouts[Scratch] = offsets(sizes)
	place := func(first, width int) func(k, i, n int) Span {
		return func(k, i, n int) Span { return Span{Scratch, first + (k-1)*width + i, n} }
	}
	// Of round k: what goes to, and comes from, a rank of this host, by the host that it is for; what
	// goes to, and comes from, another host, by the number of the rank of that host it is from.
	toRank, fromRank := place(0, h), place((g-1)*h, h)
	toHost, fromHost := place(2*(g-1)*h, g), place(2*(g-1)*h+(h-1)*g, g)
	block := func(b Buffer, host, i int) Span {
		return Span{b, hosts.Members[across.index(host)][inside.index(i)], 1}
	}
	for k := 1; k < g; k++ {
		for host := range h {
			p.copy(toRank(k, host, 1), block(In, host, inside.me+k))
		}
	}
	for k := 1; k < h; k++ {
		p.copy(toHost(k, inside.me, 1), block(In, across.me+k, inside.me))
	}
	p.keep(block(Out, across.me, inside.me), block(In, across.me, inside.me))
	for k := 1; k < g; k++ {
		from := inside.index(inside.me - k)
		p.send(k, inside.peer(inside.me+k), toRank(k, 0, h))
		p.recv(k, inside.peer(from), fromRank(k, 0, h))
		p.copy(block(Out, across.me, from), fromRank(k, across.me, 1))
		for q := 1; q < h; q++ {
			p.copy(toHost(q, from, 1), fromRank(k, across.index(across.me+q), 1))
		}
	}
	for k := 1; k < h; k++ {
		p.send(g+k-1, across.peer(across.me+k), toHost(k, 0, g))
		p.recv(g+k-1, across.peer(across.me-k), fromHost(k, 0, g))
		for i := range g {
			p.copy(block(Out, across.me-k, i), fromHost(k, i, 1))
		}
	}
	return p
}
