package collective

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestMatrixProcesses makes calls with every algorithm between real processes, which a launcher
// starts and which meet at its store.
func TestMatrixProcesses(t *testing.T) {
	each := 80
	if testing.Short() {
		each = 20
	}
	eachProcessDriver(t, []int{2, 3, 4}, func(t *testing.T, driver string, size int) {
		done := reports[int](t, runRanks(t, size, driver, "matrix", strconv.Itoa(each)))
		if len(done) != size {
			t.Fatalf("%d ranks have reported, want %d", len(done), size)
		}
		for _, n := range done {
			if n < each {
				t.Errorf("a rank made %d calls, want at least %d", n, each)
			}
		}
	})
}

// matrixProgram joins a job for each round of algorithms, and makes calls of the matrix.
func matrixProgram(ctx context.Context, argument string) error {
	each, err := strconv.Atoi(argument)
	if err != nil {
		return err
	}
	calls := 0
	for round := range matrixAlgorithms() {
		var force []string
		for _, c := range collectives() {
			force = append(force, fmt.Sprintf("%s=%s", c, forced(c, round).Name))
		}
		opts := []Option{WithAlgorithms(strings.Join(force, ","))}
		if round%3 == 1 {
			opts = append(opts, WithPriority())
		}
		c, err := connect(ctx, fmt.Sprint(round), opts...)
		if err != nil {
			return err
		}
		ses := &session{ctx: ctx, c: c}
		for v := range someOf(c.Size(), round, each) {
			if v.refused(setting{}, round) != nil {
				continue
			}
			if err := kinds[v.typ].run(ses, v); err != nil {
				return fmt.Errorf("%v, %s: %w", v, forced(v.coll, round).Name, err)
			}
			calls++
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return report(calls)
}

// someOf draws calls of every collective, the same on every rank.
func someOf(size, round, n int) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		r := rand.New(rand.NewPCG(uint64(size), uint64(round)))
		all := collectives()
		for i := range n {
			v := variant{coll: all[i%len(all)], size: size}
			tops := typedOps(v.coll)
			top := tops[r.IntN(len(tops))]
			v.typ, v.op = top.typ, top.op
			counts := append(smallCounts(size), large(v.coll, v.typ, size))
			v.n = counts[r.IntN(len(counts))]
			if !yield(chance(r, v)) {
				return
			}
		}
	}
}

// That a forced algorithm is the one that runs is what the matrix relies on.
func TestForcedAlgorithmRuns(t *testing.T) {
	for round := range matrixAlgorithms() {
		s := matrixWorld(grounds[0], 4, round)
		for _, c := range ranks(t, s) {
			for _, coll := range collectives() {
				r := request{coll: coll, typ: typedOps(coll)[0].typ, count: 8}
				entry, err := c.planner.get(&r)
				want := forced(coll, round).Name
				if err != nil {
					t.Errorf("%s, %s: %v", coll, want, err)
				} else if entry.algorithm.Name != want || entry.algorithm.Collective != coll {
					t.Errorf("%s runs %s, want %s", coll, entry.algorithm.Name, want)
				}
			}
		}
	}
}
