package schedule

import (
	"math/bits"
	"slices"
	"testing"
)

// shape is what the closed forms of the literature speak of, for p ranks: the power of two P = 2^l
// at or below p, L = ceil(log2 p), and a vector of n elements that every block size divides.
type shape struct{ p, power, floor, ceil, n int }

func shapeOf(p int) shape {
	s := shape{p: p, floor: bits.Len(uint(p)) - 1, ceil: bits.Len(uint(p - 1))}
	s.power = 1 << s.floor
	s.n = 2 * p * s.power
	return s
}

// own is the part of the vector that is not a rank's own: (p-1)/p n.
func (s shape) own() int { return s.n - s.n/s.p }

// counts are rounds, and elements moved and reduced on the critical path.
type counts struct{ rounds, volume, reduced int }

// textbook has, for every algorithm in rounds, the counts that the literature proves.
var textbook = map[string]func(s shape) counts{
	"allreduce/ring": func(s shape) counts {
		return counts{2 * (s.p - 1), 2 * s.own(), s.own()}
	},
	"allreduce/circulant": func(s shape) counts {
		return counts{2 * s.ceil, 2 * s.own(), s.own()}
	},
	"allreduce/recursive-doubling": func(s shape) counts {
		if s.p == s.power {
			return counts{s.floor, s.floor * s.n, s.floor * s.n}
		}
		return counts{s.floor + 2, (s.floor + 2) * s.n, (s.floor + 1) * s.n}
	},
	"allreduce/butterfly": func(s shape) counts {
		core := s.n - s.n/s.power
		if s.p == s.power {
			return counts{2 * s.floor, 2 * core, core}
		}
		return counts{2*s.floor + 2, 2*core + 2*s.n, core + s.n}
	},
	"allreduce/one-shot": func(s shape) counts {
		return counts{s.p - 1, (s.p - 1) * s.n, (s.p - 1) * s.n}
	},
	"broadcast/binomial": func(s shape) counts { return counts{s.ceil, s.ceil * s.n, 0} },
	"broadcast/scatter-allgather": func(s shape) counts {
		return counts{2 * s.ceil, 2 * s.own(), 0}
	},
	"reduce/binomial": func(s shape) counts { return counts{s.ceil, s.ceil * s.n, s.ceil * s.n} },
	"reduce/reducescatter-gather": func(s shape) counts {
		return counts{2 * s.ceil, 2 * s.own(), s.own()}
	},
	"scatter/binomial":        func(s shape) counts { return counts{s.ceil, s.own(), 0} },
	"scatter/linear":          func(s shape) counts { return counts{s.p - 1, s.own(), 0} },
	"gather/binomial":         func(s shape) counts { return counts{s.ceil, s.own(), 0} },
	"gather/linear":           func(s shape) counts { return counts{s.p - 1, s.own(), 0} },
	"allgather/circulant":     func(s shape) counts { return counts{s.ceil, s.own(), 0} },
	"allgather/ring":          func(s shape) counts { return counts{s.p - 1, s.own(), 0} },
	"reducescatter/circulant": func(s shape) counts { return counts{s.ceil, s.own(), s.own()} },
	"reducescatter/ring":      func(s shape) counts { return counts{s.p - 1, s.own(), s.own()} },
	"allgather/direct":        func(s shape) counts { return counts{s.p - 1, s.own(), 0} },
	"reducescatter/direct":    func(s shape) counts { return counts{s.p - 1, s.own(), s.own()} },
	"alltoall/pairwise":       func(s shape) counts { return counts{s.p - 1, s.own(), 0} },
	"alltoall/bruck": func(s shape) counts {
		moved := 0
		for j := range s.p {
			moved += bits.OnesCount(uint(j))
		}
		return counts{s.ceil, moved * s.n / s.p, 0}
	},
	// A barrier's messages carry a token of one element, see barrier_dissemination.go.
	"barrier/dissemination": func(s shape) counts { return counts{s.ceil, s.ceil, 0} },
	"barrier/one-shot":      func(s shape) counts { return counts{s.p - 1, s.p - 1, 0} },

	"allgather/recursive-doubling": func(s shape) counts { return counts{s.ceil, s.own(), 0} },
	"reducescatter/recursive-halving": func(s shape) counts {
		if s.p == s.power {
			return counts{s.floor, s.own(), s.own()}
		}
		// Vector to a neighbour; halves of P members, of which p-P count double, spread by their
		// lowest bits; the neighbour's block back.
		moved := s.power - 1
		for k := 1; k <= s.floor; k++ {
			moved += (s.p - s.power + 1<<k - 1) >> k
		}
		block := s.n / s.p
		return counts{s.floor + 2, s.n + moved*block + block, s.n + moved*block}
	},
}

// evenCall is a call in which every rank has a block of n/p elements.
func evenCall(c Collective, s shape, root int) []Args {
	args := make([]Args, s.p)
	for r := range args {
		a := Args{Rank: r, Size: s.p, Root: root, Count: s.n}
		for range s.p {
			a.Counts = append(a.Counts, s.n/s.p)
		}
		if c == AllToAll {
			a.Count, a.SendCounts, a.RecvCounts = s.n/s.p, a.Counts, a.Counts
		}
		args[r] = a
	}
	return args
}

// TestTextbookCounts compares every algorithm that works in rounds with the counts of the
// literature, and with what its own Cost predicts, for all sizes to 80.
func TestTextbookCounts(t *testing.T) {
	largest := 80
	if testing.Short() {
		largest = 24
	}
	for _, a := range allAlgorithms() {
		if a.Pipelined || a.Name == hierarchical {
			continue
		}
		t.Run(title(a), func(t *testing.T) {
			t.Parallel()
			want := textbook[title(a)]
			if want == nil {
				t.Fatal("no closed form: add one")
			}
			for p := 2; p <= largest; p++ {
				s := shapeOf(p)
				root := 0
				if a.Collective.Rooted() {
					root = p * 2 / 3
				}
				args := evenCall(a.Collective, s, root)
				if a.Applies != nil && a.Applies(args[0]) != nil {
					continue
				}
				proof, err := ProveAlgorithm(a, args, ProveOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if a.Name == oneShot { // its ranks combine at different turns: count what each does
					proof.Reduction = proof.Max.Reduced
				}
				got := counts{proof.Rounds, proof.Volume, proof.Reduction}
				if got != want(s) || proof.Max.Reduced > proof.Reduction {
					t.Errorf("%d ranks, %d elements: %+v, literature has %+v", p, s.n, got, want(s))
				}
				if linear := a.Name == "linear"; proof.OnePorted == (linear && p > 2) {
					t.Errorf("%d ranks: one-ported %v", p, proof.OnePorted)
				}
				checkCost(t, a, args[0], proof)
			}
		})
	}
}

// checkCost compares a proof of whole steps with what the algorithm predicts.
func checkCost(t *testing.T, a *Algorithm, args Args, proof *Proof) {
	t.Helper()
	const elemBytes = 4
	c := a.Cost(args, elemBytes, wholeSteps)
	close := func(x float64, y int) bool { return x-float64(y) < 1e-6 && float64(y)-x < 1e-6 }
	if !close(c.Messages, proof.Rounds) || !close(c.Bytes/elemBytes, proof.Volume) ||
		!close(c.Reduced/elemBytes, proof.Reduction) {
		t.Errorf("%d ranks: Cost predicts %g messages, %g elements, %g reduced; the proof has %d, "+
			"%d, %d", args.Size, c.Messages, c.Bytes/elemBytes, c.Reduced/elemBytes, proof.Rounds,
			proof.Volume, proof.Reduction)
	}
}

// TestDirectCounts: the two phases of a direct all-reduce, which share groups, cost what the ring's do.
func TestDirectCounts(t *testing.T) {
	a, err := Lookup(AllReduce, direct)
	if err != nil {
		t.Fatal(err)
	}
	for p := 2; p <= 40; p++ {
		s := shapeOf(p)
		args := evenCall(AllReduce, s, 0)
		proof, err := ProveAlgorithm(a, args, ProveOptions{})
		if err != nil {
			t.Fatal(err)
		}
		got := counts{proof.Rounds, proof.Volume, proof.Reduction}
		if want := (counts{2 * (p - 1), 2 * s.own(), s.own()}); got != want {
			t.Errorf("%d ranks: %+v, want %+v", p, got, want)
		}
		checkCost(t, a, args[0], proof)
	}
}

// TestChainCounts cuts a chain's vector into k chunks: p-2+k rounds of a chunk each.
func TestChainCounts(t *testing.T) {
	for _, c := range []Collective{Broadcast, Reduce} {
		a, err := Lookup(c, "chain")
		if err != nil {
			t.Fatal(err)
		}
		for p := 2; p <= 17; p++ {
			for _, k := range []int{1, 2, 5, 16} {
				const chunk = 2 // elements of 64 bytes
				args := evenCall(c, shape{p: p, n: k * chunk}, p-1)
				o := ProveOptions{ElemBytes: 64, ChunkBytes: 64 * chunk}
				proof, err := ProveAlgorithm(a, args, o)
				if err != nil {
					t.Fatal(err)
				}
				rounds := p - 2 + k
				if proof.Rounds != rounds || proof.Volume != rounds*chunk ||
					proof.Max.Sent != k*chunk {
					t.Errorf("%s, %d ranks, %d chunks: %d rounds, volume %d, %d sent",
						title(a), p, k, proof.Rounds, proof.Volume, proof.Max.Sent)
				}
				cost := a.Cost(args[0], 64, 64*chunk)
				if cost.Messages != float64(rounds) || cost.Bytes != float64(rounds*chunk*64) ||
					cost.Reduced != float64(proof.Reduction*64) {
					t.Errorf("%s, %d ranks, %d chunks: Cost predicts %+v, the proof has %d reduced",
						title(a), p, k, cost, proof.Reduction)
				}
			}
		}
	}
}

// TestDoubleTreeCounts checks that no rank of a double tree sends or receives more than the vector
// once a phase, and that Cost, a closed form for pipelines that turns every chunk over at once, is
// near what a greedy schedule reaches.
func TestDoubleTreeCounts(t *testing.T) {
	for _, c := range []Collective{AllReduce, Broadcast, Reduce} {
		a, err := Lookup(c, doubleTree)
		if err != nil {
			t.Fatal(err)
		}
		phases := 1
		if c == AllReduce {
			phases = 2
		}
		for p := 2; p <= 40; p++ {
			for _, k := range []int{1, 4, 16} { // chunks per half
				n := 2 * k
				args := evenCall(c, shape{p: p, n: n}, 0)
				proof, err := ProveAlgorithm(a, args, ProveOptions{ElemBytes: 64, ChunkBytes: 64})
				if err != nil {
					t.Fatal(err)
				}
				most := max(proof.Max.Sent, proof.Max.Received)
				if most > phases*n || proof.Max.Reduced > n {
					t.Errorf("%s, %d ranks, %d elements: %+v", title(a), p, n, proof.Max)
				}
				predicted := a.Cost(args[0], 64, 64)
				if ratio := float64(proof.Rounds) / predicted.Messages; ratio < 0.5 || ratio > 1.25 {
					t.Errorf("%s, %d ranks, %d chunks: %d rounds, Cost has %g",
						title(a), p, k, proof.Rounds, predicted.Messages)
				}
			}
		}
	}
}

// TestDoubleTreeStructure reads both trees off the reductions of an all-reduce: none is deeper than
// ceil(log2 p), and no rank combines in both, but at most one where p is odd.
func TestDoubleTreeStructure(t *testing.T) {
	a, err := Lookup(AllReduce, doubleTree)
	if err != nil {
		t.Fatal(err)
	}
	for p := 2; p <= 200; p++ {
		parents := [2]map[int]int{{}, {}}
		inner := [2]map[int]bool{{}, {}}
		for r := range p {
			for _, s := range a.Build(Args{Rank: r, Size: p, Count: 2}).Steps {
				if s.Kind == RecvReduce {
					parents[s.Dst.Block][s.Peer] = r
					inner[s.Dst.Block][r] = true
				}
			}
		}
		both := 0
		for r := range p {
			if inner[0][r] && inner[1][r] {
				both++
			}
			for tree := range parents {
				depth := 0
				for at := r; len(parents[tree]) > 0; depth++ {
					up, ok := parents[tree][at]
					if !ok {
						break
					}
					at = up
				}
				if depth > bits.Len(uint(p-1)) {
					t.Errorf("%d ranks: rank %d at depth %d of tree %d", p, r, depth, tree)
				}
			}
		}
		if both > p%2 {
			t.Errorf("%d ranks: %d combine in both trees", p, both)
		}
	}
}

// levelShape is a vector of n elements on g ranks on each of h hosts, n a multiple of g h.
type levelShape struct{ g, h, n int }

// local and network are the parts of the vector that are not a rank's of a host, nor a host's, own.
func (s levelShape) local() int   { return s.n - s.n/s.g }
func (s levelShape) network() int { return s.n - s.n/s.h }

// twoLevels has, for every hierarchical algorithm without chunks, what its parts add up to, and how
// many elements no host sends more of over the network: what it would if it were one rank.
var twoLevels = map[Collective]func(s levelShape) (sum counts, sent int){
	AllReduce: func(s levelShape) (counts, int) {
		shard := s.network() / s.g
		return counts{
			2*(log(s.g)+s.h-1) + 2*log(s.h), 2*s.local() + 2*shard, s.local() + shard,
		}, 2 * s.network()
	},
	Broadcast: func(s levelShape) (counts, int) {
		return counts{2*log(s.g) + s.h - 1, 2*s.local() + (s.h-1)*s.n/s.g, 0}, s.n
	},
	Reduce: func(s levelShape) (counts, int) {
		shards := (s.h - 1) * s.n / s.g
		return counts{2*log(s.g) + s.h - 1, 2*s.local() + shards, s.local() + shards}, s.n
	},
	AllGather: func(s levelShape) (counts, int) {
		return counts{
			log(s.g) + log(s.h) + s.g - 1, s.local()/s.h + s.network() + (s.g-1)*s.n, 0,
		}, s.network()
	},
	ReduceScatter: func(s levelShape) (counts, int) {
		up := (s.g - 1) * s.n
		return counts{
			s.g - 1 + log(s.h) + s.g - 1, up + s.network() + s.local()/s.h, up + s.network(),
		}, s.network()
	},
	AllToAll: func(s levelShape) (counts, int) {
		return counts{s.g + s.h - 2, s.local() + s.network(), 0}, s.g * s.network()
	},
}

// log is ceil(log2 x).
func log(x int) int { return bits.Len(uint(x - 1)) }

// TestHierarchicalCounts spreads g ranks on each of h hosts: a hierarchical algorithm costs the sum
// of its parts, and no host sends more over the network than if it were one rank.
func TestHierarchicalCounts(t *testing.T) {
	for _, a := range allAlgorithms() {
		if a.Name != hierarchical {
			continue
		}
		if twoLevels[a.Collective] == nil {
			t.Errorf("%s: no closed form: add one", title(a))
			continue
		}
		for g := 2; g <= 8; g++ {
			for h := 2; h <= 8; h++ {
				s := levelShape{g, h, 2 * g * h}
				hierarchicalCounts(t, a, s, func(r int) int { return r / g })
				hierarchicalCounts(t, a, s, func(r int) int { return r % h })
			}
		}
	}
}

func hierarchicalCounts(t *testing.T, a *Algorithm, s levelShape, host func(rank int) int) {
	t.Helper()
	root := 0
	if a.Collective.Rooted() {
		root = s.g*s.h - 2 // neither the first rank of its host nor on the first host
	}
	args := evenCall(a.Collective, shape{p: s.g * s.h, n: s.n}, root)
	hosts := make([]int, len(args))
	for r := range hosts {
		hosts[r] = host(r)
	}
	for r := range args {
		args[r].Hosts = hosts
	}
	if a.Applies(args[0]) != nil {
		return
	}
	proof, err := ProveAlgorithm(a, args, ProveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := counts{proof.Rounds, proof.Volume, proof.Reduction}
	want, most := twoLevels[a.Collective](s)
	if got != want || !proof.OnePorted {
		t.Errorf("%s, %d hosts of %d: %+v, want %+v", title(a), s.h, s.g, got, want)
	}
	sent, received := make([]int, s.h), make([]int, s.h)
	for _, m := range proof.Messages {
		if hosts[m.From] != hosts[m.To] {
			sent[hosts[m.From]] += m.Elements
			received[hosts[m.To]] += m.Elements
		}
	}
	if busiest := max(slices.Max(sent), slices.Max(received)); busiest != most {
		t.Errorf("%s, %d hosts of %d: a host sends or receives %d, want %d",
			title(a), s.h, s.g, busiest, most)
	}
	checkCost(t, a, args[0], proof)
}
