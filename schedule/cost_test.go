package schedule_test

import (
	"math"
	"math/bits"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/topology"
)

// spent counts what the programs of a call spend when each group is a round: rounds, the sum over
// rounds of the largest message, and the sum over rounds of the largest reduction.
func spent(a *schedule.Algorithm, s setting) topology.Cost {
	type round struct{ sent, reduced int }
	rounds := map[int]round{}
	for _, args := range s.args() {
		p := a.Build(args)
		length := func(sp schedule.Span) (n int) {
			l := p.Layouts[sp.Buf]
			for k := range sp.N {
				b := (sp.Block + k) % l.Blocks()
				n += l[b+1] - l[b]
			}
			return n
		}
		for i := range p.Steps {
			step := &p.Steps[i]
			r := rounds[step.Group]
			switch step.Kind {
			case schedule.Send:
				r.sent = max(r.sent, length(step.A))
			case schedule.RecvReduce, schedule.LocalReduce:
				r.reduced = max(r.reduced, length(step.Dst))
			case schedule.Copy:
				continue
			}
			rounds[step.Group] = r
		}
	}
	var c topology.Cost
	for _, r := range rounds {
		c.Messages++
		c.Bytes += float64(r.sent)
		c.Reduced += float64(r.reduced)
	}
	return c
}

// TestCostOfRounds compares Cost with what the programs of algorithms in rounds spend, for vectors
// that divide evenly and elements of one byte.
func TestCostOfRounds(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		if a.Pipelined || a.Name == "linear" || a.Name == "one-shot" {
			t.Skip("not in rounds")
		}
		for size := 2; size <= 33; size++ {
			s := setting{collective: a.Collective, size: size, root: size / 3}
			unit := 32 * size // divides by every number of blocks that occurs
			for range size {
				s.counts = append(s.counts, unit)
			}
			s.count = unit * size
			if a.Collective == schedule.AllToAll {
				s.count = unit
			}
			for way := range 2 {
				if s.hosts = hostsOf(size, way); size%2 == 1 {
					s.hosts = nil
				}
				if a.Applies != nil && a.Applies(s.args()[0]) != nil {
					continue
				}
				got, want := a.Cost(s.args()[0], 1, 1<<20), spent(a, s)
				if !near(got.Messages, want.Messages) || !near(got.Bytes, want.Bytes) ||
					!near(got.Reduced, want.Reduced) {
					t.Errorf("size %d: cost %+v, spent %+v", size, got, want)
				}
				for _, args := range s.args() {
					if other := a.Cost(args, 1, 1<<20); other != got {
						t.Errorf("size %d: rank %d expects %+v, rank 0 %+v", size, args.Rank, other, got)
					}
				}
			}
		}
	})
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(b)) }

// formula is what a call is said to spend.
type formula struct {
	collective                schedule.Collective
	name                      string
	messages, bytes, combined float64
}

const costElem, costChunk = 4, 256

// formulas are those of the literature for p ranks and n bytes, with L = ceil(log2 p),
// l = floor(log2 p), P = 2^l, and k segments of a vector or of half of one.
func formulas(p int, n float64) []formula {
	f := topology.FoldOf(p)
	L, l, P := math.Ceil(math.Log2(float64(p))), float64(bits.Len(uint(p))-1), float64(f.Core)
	ring := float64(p - 1)
	own, core, extra := ring/float64(p), (P-1)/P, float64(min(1, f.Extra))
	ones := 0
	for i := range p {
		ones += bits.OnesCount(uint(i))
	}
	k, half := math.Ceil(n/costChunk), math.Ceil(n/2/costChunk)
	blocks := math.Ceil(n / float64(p) / costChunk)
	chain := float64(p) - 2 + k
	trees := half - 1 + L
	rooted := half + math.Ceil(math.Log2(ring))
	return []formula{
		{schedule.AllReduce, "recursive-doubling", l + 2*extra, (l + 2*extra) * n, (l + extra) * n},
		{schedule.AllReduce, "butterfly", 2*l + 2*extra, (2*core + 2*extra) * n, (core + extra) * n},
		{schedule.AllReduce, "circulant", 2 * L, 2 * own * n, own * n},
		{schedule.AllReduce, "ring", 2 * ring, 2 * own * n, own * n},
		{schedule.AllReduce, "double-tree", 4 * trees, 2 * trees / half * n, trees / half * n},
		{schedule.AllReduce, "direct", 2 * ring * blocks, 2 * own * n, own * n},
		{schedule.AllReduce, "one-shot", ring, ring * n, ring * n},
		{schedule.ReduceScatter, "direct", ring, own * n, own * n},
		{schedule.AllGather, "direct", ring, own * n, 0},
		{schedule.ReduceScatter, "circulant", L, own * n, own * n},
		{schedule.ReduceScatter, "ring", ring, own * n, own * n},
		{schedule.AllGather, "circulant", L, own * n, 0},
		{schedule.AllGather, "recursive-doubling", L, own * n, 0},
		{schedule.AllGather, "ring", ring, own * n, 0},
		{schedule.Broadcast, "binomial", L, L * n, 0},
		{schedule.Broadcast, "scatter-allgather", 2 * L, 2 * own * n, 0},
		{schedule.Broadcast, "chain", chain, chain / k * n, 0},
		{schedule.Broadcast, "double-tree", 2 * rooted, rooted / half * n, 0},
		{schedule.Reduce, "binomial", L, L * n, L * n},
		{schedule.Reduce, "reducescatter-gather", 2 * L, 2 * own * n, own * n},
		{schedule.Reduce, "chain", chain, chain / k * n, chain / k * n},
		{schedule.Reduce, "double-tree", 2 * rooted, rooted / half * n, rooted / half * n},
		{schedule.Scatter, "binomial", L, own * n, 0},
		{schedule.Scatter, "linear", ring, own * n, 0},
		{schedule.Gather, "binomial", L, own * n, 0},
		{schedule.Gather, "linear", ring, own * n, 0},
		{schedule.AllToAll, "pairwise", ring, own * n, 0},
		{schedule.AllToAll, "bruck", L, float64(ones) / float64(p) * n, 0},
		{schedule.Barrier, "dissemination", L, L * costElem, 0},
		{schedule.Barrier, "one-shot", ring, ring * costElem, 0},
	}
}

// TestCostFormulas holds Cost to the formulas of the literature.
func TestCostFormulas(t *testing.T) {
	for p := 2; p <= 40; p++ {
		a := schedule.Args{Size: p, Count: 1000 * p}
		for range p {
			a.Counts = append(a.Counts, 1000)
		}
		for _, f := range formulas(p, float64(costElem*a.Count)) {
			args := a
			if f.collective == schedule.AllToAll {
				args.Count, args.SendCounts, args.RecvCounts = 1000, a.Counts, a.Counts
			}
			algorithm, err := schedule.Lookup(f.collective, f.name)
			if err != nil {
				t.Fatal(err)
			}
			got := algorithm.Cost(args, costElem, costChunk)
			if !near(got.Messages, f.messages) || !near(got.Bytes, f.bytes) ||
				!near(got.Reduced, f.combined) {
				t.Errorf("p=%d: cost %+v, want %+v", p, got, f)
			}
		}
	}
}

// TestCostOfOneRank checks that a rank alone spends nothing.
func TestCostOfOneRank(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		for _, s := range settings(a, 1) {
			if c := a.Cost(s.args()[0], 4, 64); c != (topology.Cost{}) {
				t.Errorf("%s: %+v", s, c)
			}
		}
	})
}
