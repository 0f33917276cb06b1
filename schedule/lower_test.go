package schedule_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"pgregory.net/rapid"
)

// drawCall draws an algorithm and a call that it can compute.
func drawCall(t *rapid.T, sizes int) (*schedule.Algorithm, setting) {
	c := schedule.Collective(rapid.IntRange(1, int(schedule.Barrier)).Draw(t, "collective"))
	algorithms := schedule.Algorithms(c)
	a := algorithms[rapid.IntRange(0, len(algorithms)-1).Draw(t, "algorithm")]
	size := rapid.IntRange(1, sizes).Draw(t, "size")
	s := setting{
		collective: c, size: size, root: rapid.IntRange(0, size-1).Draw(t, "root"),
		count:   rapid.IntRange(0, 200).Draw(t, "count"),
		counts:  rapid.SliceOfN(rapid.IntRange(0, 60), size, size).Draw(t, "counts"),
		inPlace: rapid.Bool().Draw(t, "in place"),
		hosts:   hostsOf(size, rapid.IntRange(0, 2).Draw(t, "hosts")),
	}
	if a.Applies != nil && a.Applies(s.args()[0]) != nil {
		t.Skip("does not apply")
	}
	return a, s
}

// TestLowerCutsEveryStep checks that the chunks of a step are the step: its pieces in its order,
// none longer than a chunk, each starting at a multiple of the chunk.
func TestLowerCutsEveryStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, s := drawCall(t, 9)
		elem := rapid.SampledFrom([]int{1, 2, 4, 8}).Draw(t, "elem")
		chunk := 64 * rapid.IntRange(1, 20).Draw(t, "chunk")
		for _, args := range s.args() {
			p := a.Build(args)
			plan, err := schedule.Lower(p, elem, chunk)
			if err != nil {
				t.Fatal(err)
			}
			scratch := p.Layouts[schedule.Scratch].Len() * elem
			if plan.ChunkBytes != chunk || plan.ScratchBytes != scratch {
				t.Fatalf("chunks of %d and scratch of %d bytes", plan.ChunkBytes, plan.ScratchBytes)
			}
			ops := plan.Ops
			for i := range p.Steps {
				n := 0
				for n < len(ops) && ops[n].Step == i {
					n++
				}
				checkChunks(t, p, i, ops[:n], elem, chunk)
				ops = ops[n:]
			}
			if len(ops) != 0 {
				t.Fatalf("%d operations belong to no step", len(ops))
			}
		}
	})
}

// checkChunks compares step i with the operations that it was cut into.
func checkChunks(t *rapid.T, p *schedule.Program, i int, ops []schedule.Op, elem, chunk int) {
	step := &p.Steps[i]
	if len(ops) == 0 {
		t.Fatalf("step %d has no chunk", i)
	}
	var got [3][]int
	for c := range ops {
		op := &ops[c]
		if op.Chunk != c || op.Kind != step.Kind || op.Peer != step.Peer ||
			op.Left != step.Left || op.Last != step.Last {
			t.Fatalf("step %d %+v: chunk %d is %+v", i, step, c, op)
		}
		full := c < len(ops)-1
		if n := op.Bytes(); n > chunk || full && n != chunk || len(ops) > 1 && n == 0 {
			t.Fatalf("step %d: chunk %d of %d has %d bytes", i, c, len(ops), n)
		}
		for k, region := range []schedule.Region{op.Dst, op.A, op.B} {
			got[k] = append(got[k], addresses(region)...)
		}
	}
	for k, span := range []schedule.Span{step.Dst, step.A, step.B} {
		if want := elements(p, span, elem); !slices.Equal(got[k], want) {
			t.Fatalf("step %d span %d: bytes %v, want %v", i, k, got[k], want)
		}
	}
}

// addresses lists the bytes of a region.
func addresses(r schedule.Region) (all []int) {
	for _, pc := range r.Pieces {
		for i := range pc.Len {
			all = append(all, pc.Off+i)
		}
	}
	return all
}

// elements lists the bytes of a span, block by block.
func elements(p *schedule.Program, s schedule.Span, elem int) (all []int) {
	l := p.Layouts[s.Buf]
	for k := range s.N {
		b := (s.Block + k) % l.Blocks()
		for i := l[b] * elem; i < l[b+1]*elem; i++ {
			all = append(all, i)
		}
	}
	return all
}

// TestLinksAgree checks that the two ends of every link have the same frames in the same order, for
// any size of chunk.
func TestLinksAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, s := drawCall(t, 17)
		chunk := 64 * rapid.IntRange(1, 8).Draw(t, "chunk")
		var programs []*schedule.Program
		var plans []*schedule.Plan
		for _, args := range s.args() {
			programs = append(programs, a.Build(args))
			plan, err := schedule.Lower(programs[args.Rank], 8, chunk)
			if err != nil {
				t.Fatal(err)
			}
			plans = append(plans, plan)
		}
		for r, plan := range plans {
			checkListed(t, programs[r], plan)
			for _, l := range plan.Links {
				there := recvsFrom(plans[l.Peer], r)
				if len(there) != len(l.Sends) {
					t.Fatalf("rank %d sends %d frames to %d, which wants %d",
						r, len(l.Sends), l.Peer, len(there))
				}
				for i, send := range l.Sends {
					x, y := &plan.Ops[send], &plans[l.Peer].Ops[there[i]]
					if x.Bytes() != y.Bytes() || x.Chunk != y.Chunk ||
						programs[r].Steps[x.Step].Group != programs[l.Peer].Steps[y.Step].Group {
						t.Fatalf("frame %d from %d to %d: %+v and %+v", i, r, l.Peer, x, y)
					}
				}
			}
		}
	})
}

// recvsFrom returns the receives of a plan from a rank.
func recvsFrom(plan *schedule.Plan, from int) []int32 {
	for _, l := range plan.Links {
		if l.Peer == from {
			return l.Recvs
		}
	}
	return nil
}

// checkListed checks that each operation with a peer is on that peer's link, in the order that
// Step.Group describes, and that Local lists the others that may start at once.
func checkListed(t *rapid.T, p *schedule.Program, plan *schedule.Plan) {
	frame := func(i, j int32) int {
		x, y := &plan.Ops[i], &plan.Ops[j]
		return cmp.Or(cmp.Compare(p.Steps[x.Step].Group, p.Steps[y.Step].Group),
			cmp.Compare(x.Chunk, y.Chunk), cmp.Compare(x.Step, y.Step))
	}
	listed := 0
	for _, l := range plan.Links {
		listed += len(l.Sends) + len(l.Recvs)
		if !slices.IsSortedFunc(l.Sends, frame) || !slices.IsSortedFunc(l.Recvs, frame) {
			t.Fatalf("rank %d: frames with %d are out of order", p.Rank, l.Peer)
		}
		for k, frames := range [][]int32{l.Sends, l.Recvs} {
			for _, i := range frames {
				op := &plan.Ops[i]
				if op.Peer != l.Peer || (op.Kind == schedule.Send) != (k == 0) {
					t.Fatalf("rank %d: the link to %d lists %+v", p.Rank, l.Peer, op)
				}
			}
		}
	}
	for i := range plan.Ops {
		local := plan.Ops[i].Kind == schedule.Copy || plan.Ops[i].Kind == schedule.LocalReduce
		if local {
			listed++
		}
		starts := local && plan.Indegree[i] == 0
		if slices.Contains(plan.Local, int32(i)) != starts {
			t.Fatalf("rank %d: operation %d may start: %v, Local is %v", p.Rank, i, starts, plan.Local)
		}
	}
	if listed != len(plan.Ops) {
		t.Fatalf("rank %d: %d operations of %d are listed", p.Rank, listed, len(plan.Ops))
	}
}

func TestLowerRefuses(t *testing.T) {
	layouts := [schedule.Buffers]schedule.Layout{schedule.In: {0, 2, 5}, schedule.Out: {0, 4, 5}}
	step := func(k schedule.Kind, dst, a schedule.Span) *schedule.Program {
		return &schedule.Program{
			Collective: schedule.AllReduce, Algorithm: "made-up", Size: 2, Layouts: layouts,
			Steps: []schedule.Step{{Kind: k, Peer: 1, Dst: dst, A: a}},
		}
	}
	span := func(b schedule.Buffer, at, n int) schedule.Span {
		return schedule.Span{Buf: b, Block: at, N: n}
	}
	whole := span(schedule.In, 0, 2)
	for name, c := range map[string]struct {
		program     *schedule.Program
		elem, chunk int
		want        string
	}{
		"no element":     {step(schedule.Send, span(0, 0, 0), whole), 0, 64, "elements of 0"},
		"no chunk":       {step(schedule.Send, span(0, 0, 0), whole), 4, 0, "multiple of 64"},
		"odd chunk":      {step(schedule.Send, span(0, 0, 0), whole), 4, 100, "multiple of 64"},
		"unknown kind":   {step(99, whole, whole), 4, 64, "unknown kind 99"},
		"unknown buffer": {step(schedule.Send, span(0, 0, 0), span(7, 0, 1)), 4, 64, "unknown buffer 7"},
		"behind the end": {step(schedule.Send, span(0, 0, 0), span(schedule.In, 2, 1)), 4, 64, "has 2"},
		"negative block": {step(schedule.Recv, span(schedule.In, -1, 1), whole), 4, 64, "has 2"},
		"too many":       {step(schedule.Send, span(0, 0, 0), span(schedule.In, 1, 3)), 4, 64, "has 2"},
		"negative many":  {step(schedule.Send, span(0, 0, 0), span(schedule.In, 1, -1)), 4, 64, "has 2"},
		"no such memory": {step(schedule.Recv, span(schedule.Scratch, 0, 1), whole), 4, 64, "has 0"},
		"two lengths":    {step(schedule.Copy, span(schedule.Out, 0, 1), whole), 4, 64, "16 and 20"},
		"three lengths": {&schedule.Program{Layouts: layouts, Steps: []schedule.Step{{
			Kind: schedule.LocalReduce, Dst: whole, A: whole, B: span(schedule.Out, 1, 1),
		}}}, 4, 64, "20 and 4 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schedule.Lower(c.program, c.elem, c.chunk)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestLowerWraps checks the pieces of a span that goes over the end of its buffer, and of chunks on
// both sides of that end.
func TestLowerWraps(t *testing.T) {
	p := &schedule.Program{
		Layouts: [schedule.Buffers]schedule.Layout{schedule.In: {0, 30, 40, 40}},
		Steps: []schedule.Step{{
			Kind: schedule.Send, Peer: 1, A: schedule.Span{Buf: schedule.In, Block: 1, N: 3},
		}},
	}
	plan, err := schedule.Lower(p, 4, 64)
	if err != nil {
		t.Fatal(err)
	}
	want := [][2]schedule.Piece{
		{{Off: 120, Len: 40}, {Off: 0, Len: 24}},
		{{Off: 24, Len: 64}},
		{{Off: 88, Len: 32}},
	}
	for i := range plan.Ops {
		if i >= len(want) || plan.Ops[i].A.Pieces != want[i] {
			t.Errorf("chunk %d: %v", i, plan.Ops[i].A.Pieces)
		}
	}
	if len(plan.Ops) != len(want) {
		t.Errorf("%d chunks, want %d", len(plan.Ops), len(want))
	}
	// A block of no elements is skipped, so that a span behind it is one piece.
	p.Steps[0].A = schedule.Span{Buf: schedule.In, Block: 2, N: 2}
	if plan, err = schedule.Lower(p, 4, 128); err != nil {
		t.Fatal(err)
	}
	if got := plan.Ops[0].A.Pieces; got != [2]schedule.Piece{{Off: 0, Len: 120}} {
		t.Errorf("pieces %v", got)
	}
}

// TestFramesOfOneGroup checks the order of frames where steps share a group, as in a pipeline:
// chunk by chunk, not step by step, and lower groups first.
func TestFramesOfOneGroup(t *testing.T) {
	block := func(i int) schedule.Span { return schedule.Span{Buf: schedule.In, Block: i, N: 1} }
	p := &schedule.Program{
		Layouts: [schedule.Buffers]schedule.Layout{schedule.In: {0, 128, 320, 384}},
		Steps: []schedule.Step{
			{Kind: schedule.Send, Peer: 1, A: block(0), Group: 1},
			{Kind: schedule.Send, Peer: 1, A: block(1), Group: 1},
			{Kind: schedule.Send, Peer: 1, A: block(2), Group: 0},
		},
	}
	plan, err := schedule.Lower(p, 1, 64)
	if err != nil {
		t.Fatal(err)
	}
	var got [][2]int
	for _, i := range plan.Links[0].Sends {
		got = append(got, [2]int{plan.Ops[i].Step, plan.Ops[i].Chunk})
	}
	want := [][2]int{{2, 0}, {0, 0}, {1, 0}, {0, 1}, {1, 1}, {1, 2}}
	if !slices.Equal(got, want) {
		t.Errorf("steps and chunks %v, want %v", got, want)
	}
}
