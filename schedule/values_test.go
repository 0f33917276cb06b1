package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
)

// everyAlgorithm runs a subtest for each algorithm of the registry.
func everyAlgorithm(t *testing.T, test func(t *testing.T, a *schedule.Algorithm)) {
	for c := schedule.AllReduce; c <= schedule.Barrier; c++ {
		for _, a := range schedule.Algorithms(c) {
			t.Run(fmt.Sprintf("%s/%s", c, a.Name), func(t *testing.T) { test(t, a) })
		}
	}
}

// hostsOf puts ranks on hosts in several ways: equally many side by side, equally many in turn,
// and unequally many.
func hostsOf(size, way int) []int {
	hosts := make([]int, size)
	for r := range hosts {
		switch way {
		case 0:
			hosts[r] = r / 2
		case 1:
			hosts[r] = r % max(1, size/2)
		case 2:
			hosts[r] = min(r/3, 1)
		}
	}
	return hosts
}

// settings lists calls of a collective with size ranks.
func settings(a *schedule.Algorithm, size int) (all []setting) {
	roots := 1
	if a.Collective.Rooted() {
		roots = size
	}
	for root := range roots {
		for variant := range 6 {
			s := setting{
				collective: a.Collective, size: size, root: root, inPlace: variant%2 == 1,
				hosts: hostsOf(size, (variant/2+root)%3),
			}
			shape := variant / 2
			for r := range size {
				s.counts = append(s.counts, []int{3, (5*r + 1) % 7, 0}[shape])
			}
			s.count = []int{4 * size, 2*size + 3, 0}[shape]
			if a.Collective == schedule.AllToAll {
				s.count = []int{3, 0, 0}[shape]
			}
			if a.Applies == nil || a.Applies(s.args()[0]) == nil {
				all = append(all, s)
			}
		}
	}
	return all
}

// contribution is element i of rank r's In: different for all, and sums tell what is missing.
func contribution(r, i int) int { return 1 + i + 1000*(r+1)*(r+1) }

const junk = -1 << 40

// wanted returns Out of a rank: nil where the collective leaves none.
func wanted(s setting, rank int) []int {
	sum := func(i int) int {
		n := 0
		for r := range s.size {
			n += contribution(r, i)
		}
		if s.size > 1 {
			n *= 3 // what finishing does
		}
		return n
	}
	offset := make([]int, s.size+1)
	for r, n := range s.counts {
		offset[r+1] = offset[r] + n
	}
	var out []int
	isRoot := rank == s.root
	switch s.collective {
	case schedule.AllReduce, schedule.Reduce:
		for i := range s.count {
			out = append(out, sum(i))
		}
		if s.collective == schedule.Reduce && !isRoot {
			return nil
		}
	case schedule.Broadcast:
		for i := range s.count {
			out = append(out, contribution(s.root, i))
		}
	case schedule.Scatter:
		for i := offset[rank]; i < offset[rank+1]; i++ {
			out = append(out, contribution(s.root, i))
		}
	case schedule.ReduceScatter:
		for i := offset[rank]; i < offset[rank+1]; i++ {
			out = append(out, sum(i))
		}
	case schedule.Gather, schedule.AllGather:
		for r, n := range s.counts {
			for i := range n {
				out = append(out, contribution(r, i))
			}
		}
		if s.collective == schedule.Gather && !isRoot {
			return nil
		}
	case schedule.AllToAll:
		for r := range s.size {
			skip := 0
			for q := range rank {
				skip += s.cell(r, q)
			}
			for i := range s.cell(r, rank) {
				out = append(out, contribution(r, skip+i))
			}
		}
	}
	return out
}

// checkMemory compares Out with what is wanted, and sees to it that no other element of In changed.
func checkMemory(s setting, rank int, m [schedule.Buffers][]int) error {
	want := wanted(s, rank)
	out := m[schedule.Out]
	if len(out) != len(want) {
		return fmt.Errorf("rank %d: out has %d elements, want %d", rank, len(out), len(want))
	}
	inside := map[*int]bool{}
	for i := range out {
		inside[&out[i]] = true
		if out[i] != want[i] {
			return fmt.Errorf("rank %d: out[%d] = %d, want %d", rank, i, out[i], want[i])
		}
	}
	for i := range m[schedule.In] {
		if got := m[schedule.In][i]; !inside[&m[schedule.In][i]] && got != contribution(rank, i) {
			return fmt.Errorf("rank %d: in[%d] became %d", rank, i, got)
		}
	}
	return nil
}

// TestValues runs every algorithm, cut into chunks of two elements, with every root, in place and
// not, with equal, unequal and no elements, over links that hold frames back and links that do not.
func TestValues(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		x := rand.New(rand.NewPCG(1, 2))
		ran := 0
		for size := 1; size <= 9; size++ {
			for i, s := range settings(a, size) {
				w := &world[int]{
					elem: 32, eager: i%4 < 2,
					op:     func(a, b int) int { return a + b },
					finish: func(v int) int { return 3 * v },
				}
				if err := compute(a, s, w, junk, contribution, 64, x); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
				for r, m := range w.memory {
					if err := checkMemory(s, r, m); err != nil {
						t.Fatalf("%s: %v", s, err)
					}
				}
				ran++
			}
		}
		if ran == 0 {
			t.Fatal("applies to no call")
		}
	})
}
