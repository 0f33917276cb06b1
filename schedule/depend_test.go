package schedule_test

import (
	"slices"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"pgregory.net/rapid"
)

// touched lists the bytes that an operation touches, as addresses in which overlapping buffers have
// the same ones: Scratch far away from the others.
func touched(p *schedule.Program, r schedule.Region, elem int) []int {
	const scratch = 1 << 40
	in, out := p.Layouts[schedule.In], p.Layouts[schedule.Out]
	at := 0
	switch {
	case r.Buf == schedule.Scratch:
		at = scratch
	case !p.InPlace:
		at = int(r.Buf) << 30
	case r.Buf == schedule.Out && in != nil &&
		(p.Collective == schedule.Scatter || p.Collective == schedule.ReduceScatter):
		at = in[p.Rank] * elem
	case r.Buf == schedule.In && out != nil &&
		(p.Collective == schedule.Gather || p.Collective == schedule.AllGather):
		at = out[p.Rank] * elem
	}
	all := addresses(r)
	for i := range all {
		all[i] += at
	}
	return all
}

// checkOrder compares the dependencies of a plan with what its memory demands, found by comparing
// all pairs of operations byte by byte: two that conflict must be ordered, directly or through
// others, and two that do not conflict must not depend on each other directly.
func checkOrder(t rapid.TB, p *schedule.Program, plan *schedule.Plan, elem int) {
	n := len(plan.Ops)
	reads, writes := make([]map[int]bool, n), make([]map[int]bool, n)
	for i := range plan.Ops {
		op := &plan.Ops[i]
		reads[i], writes[i] = map[int]bool{}, map[int]bool{}
		for _, b := range append(touched(p, op.A, elem), touched(p, op.B, elem)...) {
			reads[i][b] = true
		}
		for _, b := range touched(p, op.Dst, elem) {
			writes[i][b] = true
		}
	}
	meet := func(a, b map[int]bool) bool {
		for x := range a {
			if b[x] {
				return true
			}
		}
		return false
	}
	conflict := func(i, j int) bool {
		return meet(writes[i], writes[j]) || meet(writes[i], reads[j]) || meet(reads[i], writes[j])
	}
	before := make([][]bool, n) // before[j][i]: i must be done before j
	indegree := make([]int32, n)
	for j := range before {
		before[j] = make([]bool, n)
	}
	for i := range n {
		for _, j := range plan.Succ[plan.SuccAt[i]:plan.SuccAt[i+1]] {
			if int(j) <= i {
				t.Fatalf("operation %d waits for %d", j, i)
			}
			if before[j][i] {
				t.Fatalf("operation %d waits twice for %d", j, i)
			}
			if !conflict(i, int(j)) {
				t.Fatalf("operation %d waits for %d, which it does not meet", j, i)
			}
			indegree[j]++
			before[j][i] = true
		}
	}
	if !slices.Equal(indegree, plan.Indegree) {
		t.Fatalf("indegrees %v, but there are %v edges", plan.Indegree, indegree)
	}
	for j := range n {
		for i := j - 1; i >= 0; i-- {
			if before[j][i] {
				for h := range i {
					before[j][h] = before[j][h] || before[i][h]
				}
			}
		}
		for i := range j {
			if conflict(i, j) && !before[j][i] {
				t.Fatalf("operations %d %+v and %d %+v are not ordered", i, plan.Ops[i], j, plan.Ops[j])
			}
		}
	}
}

// TestDependenciesOfAlgorithms checks the dependencies of the programs there are.
func TestDependenciesOfAlgorithms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, s := drawCall(t, 7)
		const elem = 8
		rank := rapid.IntRange(0, s.size-1).Draw(t, "rank")
		p := a.Build(s.args()[rank])
		plan, err := schedule.Lower(p, elem, 64*rapid.IntRange(2, 6).Draw(t, "chunk"))
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Ops) > 150 {
			t.Skip("too many operations to compare all pairs")
		}
		checkOrder(t, p, plan, elem)
	})
}

// TestDependenciesOfRandomPrograms checks the dependencies of programs that nobody would write:
// steps of every kind over random spans.
func TestDependenciesOfRandomPrograms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blocks := rapid.IntRange(1, 6).Draw(t, "blocks")
		width := rapid.IntRange(1, 9).Draw(t, "width")
		var l schedule.Layout
		for i := range blocks + 1 {
			l = append(l, i*width)
		}
		p := &schedule.Program{
			Collective: schedule.Collective(rapid.IntRange(1, 8).Draw(t, "collective")),
			Size:       blocks, Rank: rapid.IntRange(0, blocks-1).Draw(t, "rank"),
			InPlace: rapid.Bool().Draw(t, "in place"),
			Layouts: [schedule.Buffers]schedule.Layout{l, l, l},
		}
		span := func(n int) schedule.Span {
			return schedule.Span{
				Buf:   schedule.Buffer(rapid.IntRange(0, 2).Draw(t, "buffer")),
				Block: rapid.IntRange(0, blocks-1).Draw(t, "block"), N: n,
			}
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			s := schedule.Step{
				Kind: schedule.Kind(rapid.IntRange(1, 5).Draw(t, "kind")), Peer: blocks,
				Group: rapid.IntRange(0, 3).Draw(t, "group"),
			}
			n := rapid.IntRange(0, blocks).Draw(t, "n")
			if s.Kind != schedule.Send {
				s.Dst = span(n)
			}
			if s.Kind != schedule.Recv {
				s.A = span(n)
			}
			if s.Kind == schedule.LocalReduce {
				s.B = span(n)
			}
			p.Steps = append(p.Steps, s)
		}
		plan, err := schedule.Lower(p, 4, 64*rapid.IntRange(1, 3).Draw(t, "chunk"))
		if err != nil {
			t.Fatal(err)
		}
		checkOrder(t, p, plan, 4)
	})
}

// TestReadersRunTogether checks that operations which only read the same memory do not wait for
// each other, and that a writer waits for all of them.
func TestReadersRunTogether(t *testing.T) {
	whole := schedule.Span{Buf: schedule.Out, N: 1}
	p := &schedule.Program{
		Layouts: [schedule.Buffers]schedule.Layout{schedule.Out: {0, 4}},
		Steps: []schedule.Step{
			{Kind: schedule.Send, Peer: 1, A: whole},
			{Kind: schedule.Send, Peer: 2, A: whole},
			{Kind: schedule.Recv, Peer: 1, Dst: whole},
			{Kind: schedule.Send, Peer: 2, A: whole},
		},
	}
	plan, err := schedule.Lower(p, 4, 64)
	if err != nil {
		t.Fatal(err)
	}
	if want := []int32{0, 0, 2, 1}; !slices.Equal(plan.Indegree, want) {
		t.Errorf("indegrees %v, want %v", plan.Indegree, want)
	}
}
