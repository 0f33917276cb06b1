package schedule_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"pgregory.net/rapid"
)

// terms returns, for each element of each rank's Out, the term that the algorithm computes: the
// order in which it combines the ranks' contributions, written with brackets.
func terms(t rapid.TB, a *schedule.Algorithm, s setting) [][]string {
	w := &world[string]{
		elem: 4, op: func(a, b string) string { return "(" + a + " " + b + ")" },
		finish: func(v string) string { return v },
	}
	value := func(r, _ int) string { return fmt.Sprint(r) }
	if err := compute(a, s, w, "junk", value, 64, rand.New(rand.NewPCG(3, 4))); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	var out [][]string
	for _, m := range w.memory {
		out = append(out, m[schedule.Out])
	}
	return out
}

// neighboursFirst is the canonical term of size ranks.
func neighboursFirst(size int) string {
	var level []string
	core := 1
	for 2*core <= size {
		core *= 2
	}
	for r := 0; r < size; r++ {
		if r < 2*(size-core) {
			level = append(level, fmt.Sprintf("(%d %d)", r, r+1))
			r++
		} else {
			level = append(level, fmt.Sprint(r))
		}
	}
	for len(level) > 1 {
		for i := range len(level) / 2 {
			level[i] = "(" + level[2*i] + " " + level[2*i+1] + ")"
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

// TestCanonicalTerms holds every algorithm that calls itself canonical to the canonical order, for
// every element and rank, and shows that the others do not keep it for all sizes.
func TestCanonicalTerms(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		if !a.Collective.Reduces() {
			if a.Canonical {
				t.Error("canonical, but there is nothing to combine")
			}
			return
		}
		kept := true
		for size := 1; size <= 17; size++ {
			for _, s := range settings(a, size) {
				for r, out := range terms(t, a, s) {
					for i, got := range out {
						if want := neighboursFirst(size); got != want {
							kept = false
							if a.Canonical {
								t.Fatalf("%s: rank %d element %d: %s, want %s", s, r, i, got, want)
							}
						}
					}
				}
			}
		}
		if kept && !a.Canonical {
			t.Error("keeps the canonical order without saying so")
		}
	})
}

// TestSameTerms checks that all ranks combine each element in the same order, so that they end with
// the same bits.
func TestSameTerms(t *testing.T) {
	for _, a := range schedule.Algorithms(schedule.AllReduce) {
		for size := 2; size <= 13; size++ {
			for _, s := range settings(a, size) {
				out := terms(t, a, s)
				for r := range out {
					if !slices.Equal(out[r], out[0]) {
						t.Fatalf("%s %s: ranks %d and 0 differ: %v and %v", a.Name, s, r, out[r], out[0])
					}
				}
			}
		}
	}
}

// TestCanonicalBits compares the bits of random float32 sums: recursive doubling, the butterfly,
// the binomial reduce and the halving reduce-scatter must agree on every element, wherever it
// stands and however long the vector is.
func TestCanonicalBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(2, 17).Draw(t, "size")
		seed := rapid.Uint64().Draw(t, "seed")
		root := rapid.IntRange(0, size-1).Draw(t, "root")
		n := rapid.IntRange(1, 70).Draw(t, "n")
		x := rand.New(rand.NewPCG(seed, 1))
		vectors := make([][]float32, size)
		for r := range vectors {
			for range n {
				vectors[r] = append(vectors[r],
					float32((x.Float64()-0.5)*math.Pow(10, float64(x.IntN(7)-3))))
			}
		}
		sum := func(name string, c schedule.Collective, shift int) []uint32 {
			a, err := schedule.Lookup(c, name)
			if err != nil {
				t.Fatal(err)
			}
			s := setting{collective: c, size: size, root: root, count: n}
			s.counts = make([]int, size)
			s.counts[root] = n
			w := &world[float32]{
				elem: 4, op: func(a, b float32) float32 { return a + b },
				finish: func(v float32) float32 { return v },
			}
			value := func(r, i int) float32 { return vectors[r][(i+shift)%n] }
			if err := compute(a, s, w, float32(math.NaN()), value, 64, x); err != nil {
				t.Fatal(err)
			}
			bits := make([]uint32, n)
			for i := range bits {
				bits[(i+shift)%n] = math.Float32bits(w.memory[root][schedule.Out][i])
			}
			return bits
		}
		want := sum("recursive-doubling", schedule.AllReduce, 0)
		for what, got := range map[string][]uint32{
			"butterfly":         sum("butterfly", schedule.AllReduce, 0),
			"butterfly shifted": sum("butterfly", schedule.AllReduce, n/2),
			"reduce":            sum("binomial", schedule.Reduce, 0),
			"reduce-scatter":    sum("recursive-halving", schedule.ReduceScatter, 0),
		} {
			if !slices.Equal(got, want) {
				t.Errorf("%s: %x, want %x", what, got, want)
			}
		}
	})
}

// TestRankOrder checks that canonical terms name the ranks in their order, so that an operation
// need not commute.
func TestRankOrder(t *testing.T) {
	for size := 1; size <= 64; size++ {
		flat := strings.Fields(strings.NewReplacer("(", "", ")", "").Replace(neighboursFirst(size)))
		for r, name := range flat {
			if name != fmt.Sprint(r) {
				t.Fatalf("size %d: %v", size, flat)
			}
		}
	}
}
