package schedule_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/topology"
)

// TestProfileOfRounds compares what a profile counts with Cost, for algorithms whose groups are
// rounds of one message a rank.
func TestProfileOfRounds(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		if a.Pipelined || a.Name == "linear" {
			t.Skip("not in rounds")
		}
		for size := 2; size <= 17; size++ {
			s := setting{collective: a.Collective, size: size, root: size / 3}
			if a.Collective == schedule.AllReduce && size%2 == 0 {
				s.hosts = hostsOf(size, 0)
			}
			for range size {
				s.counts = append(s.counts, 64)
			}
			if s.count = 64 * size; a.Collective == schedule.AllToAll {
				s.count = 64
			}
			args := s.args()[0]
			if a.Applies != nil && a.Applies(args) != nil {
				continue
			}
			cost, f := a.Cost(args, 1, 1<<30), schedule.ProfileOf(a, args)
			n := float64(64 * size)
			if a.Collective == schedule.Barrier {
				n = 1
			}
			var sum topology.Cost
			for _, r := range f.Rounds {
				times := float64(r.Times)
				sum.Messages += times
				sum.Bytes += times * n * max(r.Inner.Rank.Bytes, r.Outer.Rank.Bytes)
				sum.Reduced += times * n * r.Reduced
			}
			// Blocks that do not divide evenly make a round longer by less than their number.
			close := func(a, b float64) bool { return math.Abs(a-b) <= 0.01*n }
			if sum.Messages != cost.Messages || !close(sum.Bytes, cost.Bytes) ||
				!close(sum.Reduced, cost.Reduced) {
				t.Errorf("%d ranks: profile adds up to %+v, cost is %+v", size, sum, cost)
			}
			if f.Depth < 1 || f.Depth > cost.Messages {
				t.Errorf("%d ranks: depth %g of %g messages", size, f.Depth, cost.Messages)
			}
		}
	})
}

// TestProfileCopies counts the copies of an all-to-all: bruck puts every block but one into scratch, and
// copies what each block of each message brings once more; pairwise copies the rank's own block alone.
func TestProfileCopies(t *testing.T) {
	const size = 4
	args := schedule.Args{Size: size, Count: 1, Hosts: []int{0, 0, 0, 1}}
	for name, blocks := range map[string]float64{"pairwise": 1, "bruck": 1 + 3 + 4} {
		a, err := schedule.Lookup(schedule.AllToAll, name)
		if err != nil {
			t.Fatal(err)
		}
		var rank, host float64
		for _, r := range schedule.ProfileOf(a, args).Rounds {
			rank += float64(r.Times) * r.Copied
			host += float64(r.Times) * r.HostCopied
		}
		if want := blocks / size; rank != want || host != 3*want {
			t.Errorf("%s copies %g of a vector, three ranks of a host %g; want %g and %g", name, rank, host,
				want, 3*want)
		}
	}
}

// TestProfileCopiesOfSums: what is combined as it comes is copied by nobody, what is combined from memory is.
func TestProfileCopiesOfSums(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int
		inPlace bool
		want    float64
	}{
		{"recursive-doubling", 2, false, 0},
		{"recursive-doubling", 2, true, 1}, // the one message goes to scratch
		{"recursive-doubling", 4, true, 0},
		{"recursive-doubling", 8, true, 1}, // the first message does
		{"butterfly", 2, true, 0},
		{"one-shot", 4, false, 3},
	} {
		a, err := schedule.Lookup(schedule.AllReduce, c.name)
		if err != nil {
			t.Fatal(err)
		}
		var got float64
		for _, r := range schedule.ProfileOf(a, schedule.Args{Size: c.size, InPlace: c.inPlace}).Rounds {
			got += float64(r.Times) * r.Copied
		}
		if got != c.want {
			t.Errorf("%s of %d ranks, in place %v, copies %g of a vector, want %g", c.name, c.size, c.inPlace, got, c.want)
		}
	}
}

// TestProfileDepth tells chains of messages from messages that wait for nobody.
func TestProfileDepth(t *testing.T) {
	for _, c := range []struct {
		collective schedule.Collective
		name       string
		size       int
		depth      float64
	}{
		{schedule.AllReduce, "ring", 8, 14},
		{schedule.AllReduce, "recursive-doubling", 8, 3},
		{schedule.AllReduce, "butterfly", 8, 6},
		{schedule.AllReduce, "circulant", 7, 6},
		{schedule.AllReduce, "double-tree", 7, 6},
		{schedule.AllToAll, "pairwise", 8, 1},
		{schedule.AllToAll, "bruck", 8, 3},
		{schedule.Scatter, "linear", 8, 1},
		{schedule.Gather, "binomial", 8, 3},
		{schedule.Broadcast, "chain", 8, 7},
		{schedule.Barrier, "dissemination", 5, 3},
		{schedule.Barrier, "one-shot", 5, 1},
	} {
		a, err := schedule.Lookup(c.collective, c.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := schedule.ProfileOf(a, schedule.Args{Size: c.size}).Depth; got != c.depth {
			t.Errorf("%s %s of %d ranks: depth %g, want %g", c.collective, c.name, c.size, got, c.depth)
		}
	}
}

// TestProfileOfHosts counts what leaves a host: of the hierarchical all-reduce no more than if the
// host were one rank, of a circulant one more.
func TestProfileOfHosts(t *testing.T) {
	leaving := func(name string) (bytes float64) {
		a, err := schedule.Lookup(schedule.AllReduce, name)
		if err != nil {
			t.Fatal(err)
		}
		f := schedule.ProfileOf(a, schedule.Args{Size: 8, Hosts: []int{0, 0, 0, 0, 1, 1, 1, 1}})
		for _, r := range f.Rounds {
			bytes += float64(r.Times) * r.Outer.Host.Bytes
		}
		return bytes
	}
	if got := leaving("hierarchical"); got != 1 {
		t.Errorf("hierarchical sends %g of the vector off a host, want 1: 2 (h-1)/h", got)
	}
	if got := leaving("ring"); got != 1.75 {
		t.Errorf("ring sends %g of the vector off a host, want 1.75: 2 (p-1)/p by one rank", got)
	}
	if flat := leaving("circulant"); flat < 2 {
		t.Errorf("circulant sends %g of the vector off a host", flat)
	}
}

func BenchmarkProfile(b *testing.B) {
	for _, size := range []int{8, 64, 512} {
		for _, a := range schedule.Algorithms(schedule.AllReduce) {
			if a.Name == "hierarchical" {
				continue
			}
			b.Run(fmt.Sprint(a.Name, "/", size), func(b *testing.B) {
				for b.Loop() {
					schedule.ProfileOf(a, schedule.Args{Size: size})
				}
			})
		}
	}
}
