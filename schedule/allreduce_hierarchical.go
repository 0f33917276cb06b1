package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce in two levels, see hierarchical.go.
//
// With g ranks on each of h hosts, rank i of a host cares for shard i of the vector:
//
//  1. circulant reduce-scatter inside each host: each rank gets its host's sum of its shard;
//  2. circulant all-reduce of each shard among the ranks with the same place on their host;
//  3. circulant all-gather inside each host.
//
// The messages in which a rank gets its own shard, and gives it away again, are cut into the
// blocks that hosts care for, in the order in which the network takes and brings them: that is
// another one on every host, and neither level waits for the other then.
//
// The costs, L(x) being ceil(log2 x):
//
//	rounds   2 (L(g) + h-1) + 2 L(h)
//	bytes    2 (g-1)/g n inside the host, 2 (h-1)/h n/g on the network per rank
//	reduced  (g-1)/g n + (h-1)/h n/g
//	scratch  n/g
//
// Where hosts have unequally many ranks, at most g, leaders speak for their hosts: binomial
// reduce to the leader, circulant all-reduce among leaders, binomial broadcast.
//
//	rounds   2 L(g) + 2 L(h)
//	bytes    2 L(g) n inside the host, 2 (h-1)/h n on the network
//	reduced  L(g) n + (h-1)/h n
//	scratch  n on ranks that combine and are not leaders
//
// Source: the composition is common; the phases are those of circulant.go and binomial.go.

var allReduceHierarchical = &Algorithm{
	Collective: AllReduce, Name: hierarchical,
	Build:   buildAllReduceHierarchical,
	Applies: hierarchicalApplies,
	Cost:    hierarchicalCost,
}

func hierarchicalCost(a Args, elemBytes, _ int) topology.Cost {
	n := bytesOf(AllReduce, a, elemBytes)
	hosts := topology.HostsOf(a.Hosts)
	g, h := hosts.Largest(), hosts.Count()
	inside := plus(circulantCost(n, g, true), circulantCost(n, g, false))
	inside.Messages += float64(2 * (h - 1))
	shard := n / float64(g)
	if !hosts.Uniform() {
		inside = plus(treeCost(n, g, true), treeCost(n, g, false))
		shard = n
	}
	return plus(inside, circulantCost(shard, h, true), circulantCost(shard, h, false))
}

func buildAllReduceHierarchical(a Args) *Program {
	p := newProgram(AllReduce, hierarchical, a)
	hosts := topology.HostsOf(a.Hosts)
	if hosts.Uniform() {
		p.byShards(a, hosts)
	} else {
		p.byLeaders(a, hosts)
	}
	return p
}

// byShards is the program where all hosts have equally many ranks. A shard is h consecutive
// blocks. While it is combined across hosts it is alone in scratch, where it can be gone around.
func (p *Program) byShards(a Args, hosts topology.Hosts) {
	g, h := hosts.Largest(), hosts.Count()
	shards := evenly(a.Count, g)
	blocks := Layout{0}
	for i := range g {
		for _, end := range evenly(shards[i+1]-shards[i], h)[1:] {
			blocks = append(blocks, shards[i]+end)
		}
	}
	local := hosts.LocalRank(a.Rank)
	p.Layouts = [Buffers]Layout{In: blocks, Out: blocks}
	p.Layouts[Scratch] = evenly(shards[local+1]-shards[local], h)

	inside := listed(hosts.Members[hosts.Index[a.Rank]], a.Rank)
	across := listed(hosts.Peers(local), a.Rank)
	in, out := viewOf(In, g, h, 0), viewOf(Out, g, h, 0)
	shard, block := p.all(Scratch), viewOf(Scratch, h, 1, 0)
	own := block(across.me, 1)

	group := p.circulantReduceScatter(0, inside, in, out, a.InPlace, shard, false)
	p.blockwise(group-1, group-1, sentFirst(across))
	group = p.circulantReduceScatter(group+h-1, across, block, block, true, own, true)
	group = p.circulantAllGather(group, across, own, block, -1)
	p.copy(out(local, 1), shard)
	p.circulantAllGather(group+h-1, inside, shard, out, -1)
	arrivals := make([]int, h)
	for i := range arrivals {
		arrivals[i] = across.index(across.me + i)
	}
	p.blockwise(group+h-1, group, arrivals)
}

// sentFirst lists the blocks of a team in the order in which its circulant reduce-scatter sends
// them, the caller's own last.
func sentFirst(t team) (blocks []int) {
	s := topology.Skips(t.size)
	for k := len(s) - 2; k >= 0; k-- {
		for i := s[k]; i < s[k+1]; i++ {
			blocks = append(blocks, t.index(t.me+i))
		}
	}
	return append(blocks, t.me)
}

// blockwise cuts each message of a group, and what is combined with it, into its blocks, which
// become messages of the groups from first on, in the order given.
func (p *Program) blockwise(group, first int, order []int) {
	steps := p.Steps[:0:0]
	for _, s := range p.Steps {
		if s.Group != group || s.Kind == Copy {
			steps = append(steps, s)
			continue
		}
		for i, block := range order {
			one := s
			one.Group = first + i
			for _, span := range []*Span{&one.Dst, &one.A} {
				if span.N > 0 {
					span.Block, span.N = span.Block+block, 1
				}
			}
			steps = append(steps, one)
		}
	}
	p.Steps = steps
}

// byLeaders is the program where hosts have unequally many ranks. Groups count as if each host had
// as many as the fullest one, so that they agree everywhere.
func (p *Program) byLeaders(a Args, hosts topology.Hosts) {
	h := hosts.Count()
	blocks := evenly(a.Count, h)
	p.Layouts[In], p.Layouts[Out] = blocks, blocks
	up, network := topology.CeilLog2(hosts.Largest()), 2*topology.CeilLog2(h)

	inside := listed(hosts.Members[hosts.Index[a.Rank]], a.Rank)
	acc := Out
	if inside.me != 0 && combines(inside, 0) {
		acc = Scratch
		p.Layouts[Scratch] = blocks
	}
	sum := p.binomialReduce(0, inside, 0, p.all(In), p.all(acc), false)
	if inside.me == 0 {
		leaders := listed(hosts.Peers(0), a.Rank)
		in, out := viewOf(sum.Buf, h, 1, 0), viewOf(Out, h, 1, 0)
		own := out(leaders.me, 1)
		same := sum.Buf == Out || a.InPlace
		group := p.circulantReduceScatter(up, leaders, in, out, same, own, true)
		p.circulantAllGather(group, leaders, own, out, -1)
	}
	p.binomialBroadcast(up+network, inside, p.all(Out), p.all(Out))
}
