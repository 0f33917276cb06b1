package collective

import (
	"context"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
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
	a := p.args(&request{coll: coll, count: 40})
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

// TestBriefDoesTheSame makes programs of any kind, with operands that go over the end of their memory,
// briefly and as ordinary calls.
func TestBriefDoesTheSame(t *testing.T) {
	comms := ranks(t, setting{size: 2})
	cut := 0
	rapid.Check(t, func(t *rapid.T) {
		elems := rapid.IntRange(1, 5).Draw(t, "elements of a block")
		steps := drawSteps(t)
		memory := func(brief bool) (out [2][]float32, err error) {
			var g errgroup.Group
			for rank, c := range comms {
				p := &schedule.Program{Collective: schedule.AllGather, Algorithm: "any", Rank: rank, Size: 2, Steps: slices.Clone(steps)}
				for i := range p.Steps {
					p.Steps[i].Peer = 1 - rank
				}
				for b := range p.Layouts {
					p.Layouts[b] = schedule.Layout{0, elems, 2 * elems, 3 * elems, 4 * elems}
				}
				plan, err := schedule.Lower(p, 4, 64)
				if err != nil {
					return out, err
				}
				in := make([]float32, 4*elems)
				out[rank] = make([]float32, 4*elems)
				for i := range in {
					in[i], out[rank][i] = float32(1+i+100*rank), float32(1000+i+100*rank)
				}
				r := request{
					coll: schedule.AllGather, typ: tensor.F32, op: tensor.Avg, count: elems,
					buf: [schedule.Buffers][]byte{schedule.In: tensor.Bytes(in), schedule.Out: tensor.Bytes(out[rank])},
				}
				entry := &planned{plan: plan, fingerprint: r.fingerprint(-1, 64, 0)}
				entry.key.coll = r.coll
				g.Go(func() error {
					c.e.enter()
					defer c.e.mu.Unlock()
					if err := c.connect(context.Background(), entry); err != nil {
						return err
					}
					if entry.brief == nil {
						return errors.New("there is no brief form")
					}
					entry.brief.looks, entry.brief.turn = 1<<30, false
					if !brief {
						entry.brief = nil
						c.e.scratch = scratchMemory{} // what is new is zero
					}
					return c.runPlan(context.Background(), entry, &r)
				})
				for i := range plan.Ops {
					if len(briefParts(&plan.Ops[i])) > 1 {
						cut++
					}
				}
			}
			return out, g.Wait()
		}
		got, err := memory(true)
		if err != nil {
			t.Fatal(err)
		}
		want, err := memory(false)
		if err != nil {
			t.Fatal(err)
		}
		for rank := range want {
			if !slices.Equal(got[rank], want[rank]) {
				t.Fatalf("rank %d: %v, and as an ordinary call %v", rank, got[rank], want[rank])
			}
		}
	})
	if cut < 20 {
		t.Errorf("%d operations were in more than one piece", cut)
	}
}

// drawSteps draws a program that two ranks can both run, each other's peers.
func drawSteps(t *rapid.T) []schedule.Step {
	n := 0
	span := func(name string, bufs ...schedule.Buffer) schedule.Span {
		return schedule.Span{
			Buf: rapid.SampledFrom(bufs).Draw(t, name), Block: rapid.IntRange(0, 3).Draw(t, name+"'s block"), N: n,
		}
	}
	var steps []schedule.Step
	for group := range rapid.IntRange(1, 8).Draw(t, "groups") {
		n = rapid.IntRange(1, 4).Draw(t, "blocks")
		// The operands of one operation do not overlap.
		dst := span("dst", schedule.Out, schedule.Scratch)
		a := span("a", schedule.In, schedule.Out+schedule.Scratch-dst.Buf)
		s := schedule.Step{Dst: dst, A: a, Last: rapid.Bool().Draw(t, "last"), Left: rapid.Bool().Draw(t, "left"), Group: group}
		s.Kind = rapid.SampledFrom([]schedule.Kind{
			schedule.Recv, schedule.RecvReduce, schedule.Copy, schedule.LocalReduce,
		}).Draw(t, "kind")
		switch s.Kind {
		case schedule.Recv, schedule.RecvReduce:
			from := span("sent", schedule.In, schedule.Out, schedule.Scratch)
			steps = append(steps, schedule.Step{Kind: schedule.Send, A: from, Group: group})
			if s.Kind == schedule.Recv {
				s.A = schedule.Span{}
			}
		case schedule.LocalReduce:
			s.B = dst
		}
		steps = append(steps, s)
	}
	return steps
}
