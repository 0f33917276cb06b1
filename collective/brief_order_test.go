package collective

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/schedule"
)

// TestBriefOrder takes the operations of every algorithm's plans.
func TestBriefOrder(t *testing.T) {
	for _, coll := range []schedule.Collective{
		schedule.AllReduce, schedule.AllGather, schedule.ReduceScatter, schedule.AllToAll,
		schedule.Broadcast, schedule.Reduce, schedule.Scatter, schedule.Gather, schedule.Barrier,
	} {
		for _, alg := range schedule.Algorithms(coll) {
			for size := 2; size <= 9; size++ {
				for rank := range size {
					checkBriefOrder(t, coll, alg, size, rank)
				}
			}
		}
	}
}

func checkBriefOrder(t *testing.T, coll schedule.Collective, alg *schedule.Algorithm, size, rank int) {
	t.Helper()
	p := planner{rank: rank, size: size}
	a := p.args(&request{coll: coll, count: 5})
	a.Hosts = make([]int, size)
	if alg.Applies != nil && alg.Applies(a) != nil {
		return
	}
	plan, err := schedule.Lower(alg.Build(a), 4, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := newBriefOrder(plan)
	waits := slices.Clone(plan.Indegree)
	done := make([]bool, len(plan.Ops))
	// free reports whether nothing is missing that i needs: operations, and the frames before its own.
	free := func(i int32) bool {
		for _, l := range plan.Links {
			for _, frames := range [][]int32{l.Sends, l.Recvs} {
				if at := slices.Index(frames, i); at > 0 && !done[frames[at-1]] {
					return false
				}
			}
		}
		return waits[i] == 0
	}
	for range plan.Ops {
		i := s.next()
		if done[i] || !free(i) {
			t.Fatalf("%s %s, rank %d of %d: operation %d runs twice or too early", coll, alg.Name, rank, size, i)
		}
		if k := plan.Ops[i].Kind; k == schedule.Recv || k == schedule.RecvReduce {
			for j := range plan.Ops {
				if plan.Ops[j].Kind == schedule.Send && !done[j] && free(int32(j)) {
					t.Fatalf("%s %s, rank %d of %d: %d waits before %d is sent", coll, alg.Name, rank, size, i, j)
				}
			}
		}
		done[i] = true
		for _, succ := range plan.Succ[plan.SuccAt[i]:plan.SuccAt[i+1]] {
			waits[succ]--
		}
	}
}

// TestBriefParts cuts operations and puts them together again.
func TestBriefParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 64).Draw(t, "n")
		region := func(name string) schedule.Region {
			first := rapid.IntRange(0, n).Draw(t, name)
			if first == 0 {
				first = n // a region's only piece is its first
			}
			r := schedule.Region{Pieces: [2]schedule.Piece{{Off: 1000, Len: first}, {Len: n - first}}}
			return r
		}
		o := schedule.Op{Kind: schedule.LocalReduce, Dst: region("dst"), A: region("a"), B: region("b")}
		if rapid.Bool().Draw(t, "send") {
			o.Kind, o.Dst, o.B = schedule.Send, schedule.Region{}, schedule.Region{}
		}
		var a, b, dst []int
		for _, p := range briefParts(&o) {
			for i := range p.size {
				a, b, dst = append(a, p.a.off+i), append(b, p.b.off+i), append(dst, p.dst.off+i)
			}
		}
		check := func(name string, r *schedule.Region, got []int) {
			var want []int
			for _, p := range r.Pieces {
				for i := range p.Len {
					want = append(want, p.Off+i)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: bytes %v, want %v", name, got, want)
			}
		}
		check("a", &o.A, a)
		if o.Kind == schedule.LocalReduce {
			check("b", &o.B, b)
			check("dst", &o.Dst, dst)
		}
	})
}
