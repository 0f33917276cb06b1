package schedule_test

import (
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/topology"
)

// scratchLimits says how much scratch the algorithms' comments allow a rank, in elements, for
// blocks of n elements (vectors of n p) on p ranks. Algorithms that are not listed use none.
func scratchLimits(a *schedule.Algorithm, p, n int) int {
	whole := n * p
	switch key := a.Collective.String() + "/" + a.Name; key {
	case "allreduce/recursive-doubling", "allreduce/hierarchical", "reduce/binomial", "reduce/chain",
		"reduce/hierarchical", "reducescatter/hierarchical":
		return whole
	case "allreduce/one-shot":
		return (p - 1) * whole
	case "reduce/double-tree":
		if p%2 == 0 { // one of the others may have children in both trees
			return whole
		}
		return (whole + 1) / 2
	case "reduce/reducescatter-gather", "reducescatter/circulant":
		return (p + 1) / 2 * n
	case "reducescatter/ring":
		return 2 * n
	case "reducescatter/recursive-halving":
		return whole
	case "scatter/binomial", "gather/binomial":
		return p / 2 * n
	case "alltoall/pairwise":
		return 2 * n // in place
	case "alltoall/bruck":
		return n * (p*topology.CeilLog2(p)/2 + 2*((p+1)/2))
	case "alltoall/hierarchical":
		return 4 * whole
	case "barrier/dissemination":
		return topology.CeilLog2(p) + 1
	case "barrier/one-shot":
		return p
	}
	return 0
}

// TestShape checks what all programs have in common: buffers of the size that the collective
// demands, no more scratch than the algorithm's comment says, In never written, reductions only
// where there is an operation, and no step with itself as its peer.
func TestShape(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		const n = 6
		for size := 1; size <= 20; size++ {
			for _, s := range settings(a, size) {
				for r := range s.counts {
					s.counts[r] = n
				}
				if s.count = n * size; a.Collective == schedule.AllToAll {
					s.count = n
				}
				for _, args := range s.args() {
					p := a.Build(args)
					checkHead(t, a, args, p)
					if got, limit := p.Layouts[schedule.Scratch].Len(), scratchLimits(a, size, n); got > limit {
						t.Fatalf("%s: rank %d has %d elements of scratch, limit %d", s, args.Rank, got, limit)
					}
					for i := range p.Steps {
						checkStep(t, p, i)
					}
				}
			}
		}
	})
}

func checkHead(t *testing.T, a *schedule.Algorithm, args schedule.Args, p *schedule.Program) {
	t.Helper()
	if p.Collective != a.Collective || p.Algorithm != a.Name || p.Rank != args.Rank ||
		p.Size != args.Size || p.Root != args.Root || p.InPlace != args.InPlace {
		t.Fatalf("program of another call: %s", p)
	}
	if args.Size == 1 {
		if len(p.Steps) > 1 || args.InPlace && len(p.Steps) > 0 {
			t.Fatalf("a rank alone has %d steps", len(p.Steps))
		}
	}
}

func checkStep(t *testing.T, p *schedule.Program, i int) {
	t.Helper()
	s := &p.Steps[i]
	reduces := s.Kind == schedule.RecvReduce || s.Kind == schedule.LocalReduce
	switch {
	case s.Kind != schedule.Send && s.Dst.Buf == schedule.In:
		t.Fatalf("step %d writes In: %s", i, p)
	case reduces && !p.Collective.Reduces():
		t.Fatalf("step %d reduces: %s", i, p)
	case !reduces && (s.Left || s.Last):
		t.Fatalf("step %d is Left or Last: %s", i, p)
	case s.Group < 0:
		t.Fatalf("step %d has a negative group: %s", i, p)
	case s.Kind != schedule.Copy && s.Kind != schedule.LocalReduce &&
		(s.Peer == p.Rank || s.Peer < 0 || s.Peer >= p.Size):
		t.Fatalf("step %d has peer %d: %s", i, s.Peer, p)
	}
}

// TestRegistry checks what the registry promises: the first algorithm of a collective applies to
// every call, names are unique, and the fields that callers rely on are there.
func TestRegistry(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		if a.Build == nil || a.Cost == nil || a.Name == "" {
			t.Fatalf("incomplete: %+v", a)
		}
		found, err := schedule.Lookup(a.Collective, a.Name)
		if err != nil || found != a {
			t.Errorf("Lookup finds %v, %v", found, err)
		}
		if first := schedule.Algorithms(a.Collective)[0]; first == a && a.Applies != nil {
			t.Error("is the first, but does not apply to every call")
		}
	})
	if got := schedule.Algorithms(schedule.SendRecv); got != nil {
		t.Errorf("a message between two ranks has algorithms: %v", got)
	}
	if got := schedule.Algorithms(schedule.Collective(200)); got != nil {
		t.Errorf("unknown collective has algorithms: %v", got)
	}
}

// TestApplies checks which calls algorithms refuse, and that all ranks say the same.
func TestApplies(t *testing.T) {
	same := func(name string, s setting, want bool) {
		t.Helper()
		a, err := schedule.Lookup(s.collective, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range s.args() {
			if got := a.Applies(args); (got == nil) != want {
				t.Errorf("%s: rank %d: applies %v, want %v", s, args.Rank, got, want)
			}
		}
	}
	for size := 1; size <= 9; size++ {
		counts := make([]int, size)
		same("recursive-doubling", setting{collective: schedule.AllGather, size: size, counts: counts},
			topology.PowerOfTwo(size))
		same("bruck", setting{collective: schedule.AllToAll, size: size, counts: counts}, false)
		same("bruck", setting{collective: schedule.AllToAll, size: size, count: 1}, true)
		one, each := make([]int, size), make([]int, size)
		for r := range each {
			each[r] = r
		}
		for c, wants := range map[schedule.Collective]struct{ dealt, uneven bool }{
			schedule.AllReduce: {true, true}, schedule.Broadcast: {true, true}, schedule.Reduce: {true, true},
			schedule.AllGather: {false, true}, schedule.ReduceScatter: {false, true},
			schedule.AllToAll: {true, false},
		} {
			for _, k := range []struct {
				hosts []int
				want  bool
			}{
				{nil, false},
				{one, false},
				{each, false},
				{hostsOf(size, 0), size > 2 && (size%2 == 0 || wants.uneven)},
				{hostsOf(size, 1), size > 3 && (size%2 == 0 || wants.uneven) && wants.dealt},
				{hostsOf(size, 2), size > 3 && (size == 6 || wants.uneven)},
			} {
				s := setting{collective: c, size: size, count: 1, counts: counts, hosts: k.hosts}
				same("hierarchical", s, k.want)
			}
		}
	}
}
