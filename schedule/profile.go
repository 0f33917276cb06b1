package schedule

import (
	"maps"
	"slices"

	"github.com/tutti-ml/tutti/topology"
)

// Traffic is what a round sends over links of one kind. Messages are counted, bytes are shares of
// the vector.
type Traffic struct {
	// Rank is the most that one rank has one way, of messages and of bytes.
	Rank topology.Load
	// Host is the most that the ranks of one host have together.
	Host topology.Load
}

// Round is what the programs of a call do in one of their groups.
type Round struct {
	Times        int     // how many rounds after each other are like this one
	Inner, Outer Traffic // between ranks of one host, and of different hosts
	Reduced      float64 // the most that one rank reduces, as a share of the vector
	HostReduced  float64 // the most that the ranks of one host reduce together
	// Copied is the most that one rank copies inside its memory, as a share of the vector. What is reduced
	// there is copied, too: it has come before, and what is reduced as it comes is touched once.
	Copied     float64
	HostCopied float64 // the most that the ranks of one host copy together
}

// Profile is what the programs of all ranks do, apart from the length of the vector.
type Profile struct {
	Rounds    []Round
	HostRanks float64 // the most ranks of one host
	// Depth is the most messages of which each waits for the one before it. Rounds that do not wait
	// for each other, as in a pairwise all-to-all, make it less than their number.
	Depth float64
}

// Crosses reports whether messages go between hosts.
func (f *Profile) Crosses() bool {
	return slices.ContainsFunc(f.Rounds, func(r Round) bool { return r.Outer.Rank.Messages > 0 })
}

// Programs are profiled for blocks of profileBlock elements. Chains of messages are followed among
// at most depthRanks ranks, for that takes long with many steps; more ranks have as much deeper
// ones as Cost has more messages.
const (
	profileBlock = 1 << 12
	depthRanks   = 16
)

// ProfileOf counts what algorithm g does when all ranks have blocks of one size. Of a only Size,
// Root, InPlace and Hosts are looked at, so all ranks get the same answer. Its time grows with
// the steps of all ranks together.
func ProfileOf(g *Algorithm, a Args) *Profile {
	a = evenArgs(g.Collective, a)
	host := func(rank int) int {
		if a.Hosts == nil {
			return 0
		}
		return a.Hosts[rank]
	}
	hosts := 1
	if a.Hosts != nil {
		hosts = 1 + slices.Max(a.Hosts)
	}
	rounds := map[int]*tally{}
	for r := range a.Size {
		a.Rank = r
		p := g.Build(a)
		for i := range p.Steps {
			t := rounds[p.Steps[i].Group]
			if t == nil {
				t = newTally(a.Size, hosts)
				rounds[p.Steps[i].Group] = t
			}
			t.step(p, &p.Steps[i], host)
		}
	}
	f := &Profile{HostRanks: float64(a.Size)}
	if a.Hosts != nil {
		f.HostRanks = float64(topology.HostsOf(a.Hosts).Largest())
	}
	n := max(1, float64(a.Elements(g.Collective)))
	var local Round
	for _, group := range slices.Sorted(maps.Keys(rounds)) {
		r := rounds[group].round(n)
		if r.Inner.Rank.Messages+r.Outer.Rank.Messages == 0 {
			local = r
			continue
		}
		if k := len(f.Rounds) - 1; k >= 0 {
			same := f.Rounds[k]
			if same.Times = 1; same == r {
				f.Rounds[k].Times++
				continue
			}
		}
		f.Rounds = append(f.Rounds, r)
	}
	f.finish(local)
	f.Depth = depth(g, a)
	return f
}

// finish counts what ranks combine and copy outside of rounds, which is of no group, to the last round.
func (f *Profile) finish(local Round) {
	k := len(f.Rounds) - 1
	if k < 0 || local.Reduced+local.Copied == 0 {
		return
	}
	last := f.Rounds[k]
	if f.Rounds[k].Times--; f.Rounds[k].Times == 0 {
		f.Rounds = f.Rounds[:k]
	}
	last.Times = 1
	last.Reduced += local.Reduced
	last.HostReduced += local.HostReduced
	last.Copied += local.Copied
	last.HostCopied += local.HostCopied
	f.Rounds = append(f.Rounds, last)
}

// depth returns Profile.Depth for even arguments.
func depth(g *Algorithm, a Args) float64 {
	messages := g.Cost(a, 1, profileWhole).Messages
	few := a
	if a.Size > depthRanks {
		few = evenArgs(g.Collective, Args{Size: depthRanks, InPlace: a.InPlace})
		if g.Applies != nil && g.Applies(few) != nil {
			return messages
		}
	}
	programs := make([]*Program, few.Size)
	for few.Rank = range programs {
		programs[few.Rank] = g.Build(few)
	}
	d := float64(longest(programs))
	if a.Size > depthRanks {
		d *= messages / g.Cost(few, 1, profileWhole).Messages
	}
	return d
}

// profileWhole is a chunk that no step of a profile is longer than.
const profileWhole = 1 << 40

// evenArgs are the arguments of the same call with blocks of one size.
func evenArgs(c Collective, a Args) Args {
	even := Args{Size: a.Size, Root: a.Root, InPlace: a.InPlace, Hosts: a.Hosts}
	counts := make([]int, a.Size)
	for i := range counts {
		counts[i] = profileBlock
	}
	switch c {
	case AllReduce, Broadcast, Reduce:
		even.Count = profileBlock * a.Size
	case AllToAll:
		even.Count, even.SendCounts, even.RecvCounts = profileBlock, counts, counts
	default:
		even.Counts = counts
	}
	return even
}

// tally adds up a round: loads by rank and by host, of inner or outer links, sent or received.
type tally struct {
	rank, host           [2][2][]topology.Load // [outer][received]
	reduced, hostReduced []float64
	copied, hostCopied   []float64
}

func newTally(ranks, hosts int) *tally {
	t := &tally{
		reduced: make([]float64, ranks), hostReduced: make([]float64, hosts),
		copied: make([]float64, ranks), hostCopied: make([]float64, hosts),
	}
	for i := range t.rank {
		for j := range t.rank[i] {
			t.rank[i][j], t.host[i][j] = make([]topology.Load, ranks), make([]topology.Load, hosts)
		}
	}
	return t
}

func (t *tally) step(p *Program, s *Step, host func(int) int) {
	at := host(p.Rank)
	outer := 0
	if host(s.Peer) != at {
		outer = 1
	}
	add := func(way, n int) {
		for _, l := range [...]*topology.Load{&t.rank[outer][way][p.Rank], &t.host[outer][way][at]} {
			l.Messages++
			l.Bytes += float64(n)
		}
	}
	switch s.Kind {
	case Send:
		add(0, p.elementsOf(s.A))
	case Recv:
		add(1, p.elementsOf(s.Dst))
	case RecvReduce, LocalReduce:
		n := p.elementsOf(s.Dst)
		if s.Kind == RecvReduce {
			add(1, n)
		}
		t.reduced[p.Rank] += float64(n)
		t.hostReduced[at] += float64(n)
	}
	if s.Kind == Copy || s.Kind == LocalReduce {
		n := float64(p.elementsOf(s.Dst))
		t.copied[p.Rank] += n
		t.hostCopied[at] += n
	}
}

// elementsOf returns the elements of a span.
func (p *Program) elementsOf(s Span) (n int) {
	l := p.Layouts[s.Buf]
	for k := range s.N {
		b := (s.Block + k) % l.Blocks()
		n += l[b+1] - l[b]
	}
	return n
}

// round is the sum for a vector of n elements.
func (t *tally) round(n float64) Round {
	most := func(ways [2][]topology.Load) (l topology.Load) {
		for _, way := range ways {
			for _, x := range way {
				l.Messages, l.Bytes = max(l.Messages, x.Messages), max(l.Bytes, x.Bytes/n)
			}
		}
		return l
	}
	r := Round{
		Times: 1,
		Inner: Traffic{most(t.rank[0]), most(t.host[0])},
		Outer: Traffic{most(t.rank[1]), most(t.host[1])},
	}
	r.Reduced, r.HostReduced = slices.Max(t.reduced)/n, slices.Max(t.hostReduced)/n
	r.Copied, r.HostCopied = slices.Max(t.copied)/n, slices.Max(t.hostCopied)/n
	return r
}

// longest returns the length of the longest chain of messages that wait for each other: a send
// for what must be done before it on its rank, a receive for its send. It is 0 when the programs
// can't be lowered or their messages do not match, which the prover reports better.
func longest(programs []*Program) int {
	plans := make([]*Plan, len(programs))
	level, waits := make([][]int32, len(programs)), make([][]int32, len(programs))
	for r, p := range programs {
		plan, err := Lower(p, 1, profileWhole)
		if err != nil {
			return 0
		}
		plans[r] = plan
		level[r] = make([]int32, len(plan.Ops))
		waits[r] = slices.Clone(plan.Indegree)
	}
	type op struct {
		rank int
		i    int32
	}
	arrives := map[op]op{} // the receive of each send
	for r, plan := range plans {
		for _, l := range plan.Links {
			back := slices.IndexFunc(plans[l.Peer].Links, func(b Link) bool { return b.Peer == r })
			if back < 0 || len(plans[l.Peer].Links[back].Recvs) != len(l.Sends) {
				return 0
			}
			for k, s := range l.Sends {
				to := op{l.Peer, plans[l.Peer].Links[back].Recvs[k]}
				arrives[op{r, s}] = to
				waits[to.rank][to.i]++
			}
		}
	}
	var ready []op
	for r := range waits {
		for i, n := range waits[r] {
			if n == 0 {
				ready = append(ready, op{r, int32(i)})
			}
		}
	}
	most := int32(0)
	raise := func(o op, to int32) {
		level[o.rank][o.i] = max(level[o.rank][o.i], to)
		most = max(most, to)
		if waits[o.rank][o.i]--; waits[o.rank][o.i] == 0 {
			ready = append(ready, o)
		}
	}
	for len(ready) > 0 {
		o := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		plan, at := plans[o.rank], level[o.rank][o.i]
		for _, s := range plan.Succ[plan.SuccAt[o.i]:plan.SuccAt[o.i+1]] {
			raise(op{o.rank, s}, at)
		}
		if to, ok := arrives[o]; ok {
			raise(to, at+1)
		}
	}
	return int(most)
}
