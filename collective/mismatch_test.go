package collective

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/tensor"
)

func init() { programs["mismatch"] = mismatchProgram }

// deed is a call that ranks may or may not make alike.
type deed struct {
	name string
	make func(ctx context.Context, c *Comm) error
}

// deeds are all different: where ranks make two of them, every rank must hear of it.
func deeds() []deed {
	const n = 1000
	plusOne := func(dst, a, b []float32) {
		for i := range dst {
			dst[i] = a[i] + b[i] + 1
		}
	}
	all := []deed{
		{"allreduce", func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n), tensor.Sum)
		}},
		{"allreduce of f64", func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float64, n), tensor.Sum)
		}},
		{"allreduce max", func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n), tensor.Max)
		}},
		{"allreduce of one more", func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n+1), tensor.Sum)
		}},
		{"allreduce of none", func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, []float32{}, tensor.Sum)
		}},
		{"allreduce by f", func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n), tensor.Func("f", plusOne))
		}},
		{"allreduce by g", func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n), tensor.Func("g", plusOne))
		}},
		{"barrier", Barrier},
		{"allgather", func(ctx context.Context, c *Comm) error {
			return AllGather(ctx, c, make([]float32, n*c.Size()), make([]float32, n))
		}},
		{"allgather of uneven blocks", allGatherRising(n, 0)},
		{"allgather of other blocks of the same sum", allGatherRising(n, 1)},
		{"reducescatter", func(ctx context.Context, c *Comm) error {
			return ReduceScatter(ctx, c, make([]float32, n), make([]float32, n*c.Size()), tensor.Sum)
		}},
		{"alltoall", func(ctx context.Context, c *Comm) error {
			return AllToAll(ctx, c, make([]float32, n*c.Size()), make([]float32, n*c.Size()))
		}},
	}
	for root := range 2 {
		all = append(all, rootedDeeds(n, root)...)
	}
	return all
}

func rootedDeeds(n, root int) []deed {
	name := func(s string) string { return fmt.Sprint(s, " from or to ", root) }
	return []deed{
		{name("broadcast"), func(ctx context.Context, c *Comm) error {
			return Broadcast(ctx, c, make([]float32, n), root)
		}},
		{name("reduce"), func(ctx context.Context, c *Comm) error {
			return Reduce(ctx, c, make([]float32, n), make([]float32, n), tensor.Sum, root)
		}},
		{name("scatter"), func(ctx context.Context, c *Comm) error {
			return Scatter(ctx, c, make([]float32, n), make([]float32, n*c.Size()), root)
		}},
		{name("gather"), func(ctx context.Context, c *Comm) error {
			return Gather(ctx, c, make([]float32, n*c.Size()), make([]float32, n), root)
		}},
	}
}

// allGatherRising gathers blocks of rising length, the longest at different ranks.
func allGatherRising(n, shift int) func(ctx context.Context, c *Comm) error {
	return func(ctx context.Context, c *Comm) error {
		counts := make([]int, c.Size())
		for r := range counts {
			counts[r] = (r + shift) % c.Size() * n
		}
		all := offsets(counts)[c.Size()]
		return AllGatherV(ctx, c, make([]float32, all), make([]float32, counts[c.Rank()]), counts)
	}
}

// disagree makes this rank's deed, and then barriers until an error comes: a rank whose part of
// the deed is over can return from it before anyone knows.
func disagree(ctx context.Context, part string, c *Comm, d deed) verdict {
	var v verdict
	err := d.make(ctx, c)
	for err == nil && v.Barriers < 3 {
		v.Barriers++
		err = Barrier(ctx, c)
	}
	v.outcome = outcomeOf(part, c.Rank(), err)
	if again := Barrier(ctx, c); again != nil {
		v.Again = again.Error()
	}
	c.e.enter()
	fp, _ := c.made(0)
	c.e.mu.Unlock()
	v.Made = describe(0, fp)
	return v
}

// verdict is what a rank makes of a deed that differs from the others'.
type verdict struct {
	outcome
	Made     Call // the deed
	Barriers int  // calls after it until the error came
}

// checkVerdicts holds all ranks to what they have to say when rank odd differs.
func checkVerdicts(size, odd int, all []verdict) error {
	if len(all) != size {
		return fmt.Errorf("%d ranks have reported, want %d", len(all), size)
	}
	made := map[int]Call{}
	for _, v := range all {
		made[v.Rank] = v.Made
	}
	var errs []error
	for _, v := range all {
		wrong := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("rank %d: %s; it says %s: %s",
				v.Rank, fmt.Sprintf(format, args...), v.Kind, v.Text))
		}
		if v.Kind != "mismatch" {
			wrong("want a mismatch")
			continue
		}
		if v.Barriers > 2 {
			wrong("heard of it after %d more calls", v.Barriers)
		}
		if v.Culprit == v.Other || v.Culprit != odd && v.Other != odd {
			wrong("names ranks %d and %d, but rank %d differs", v.Culprit, v.Other, odd)
		}
		if v.Calls[0] == v.Calls[1] {
			wrong("the calls do not differ")
		}
		for i, rank := range []int{v.Culprit, v.Other} {
			if v.Calls[i].Seq == 0 && v.Calls[i] != made[rank] {
				wrong("rank %d made %v", rank, made[rank])
			}
			if !strings.Contains(v.Text, fmt.Sprintf("rank %d calls %v", rank, v.Calls[i])) {
				wrong("the text lacks rank %d and its call", rank)
			}
		}
		// What went wrong later may have been added since.
		if told, _, _ := strings.Cut(v.Text, " (later:"); !strings.HasPrefix(v.Again, told) {
			wrong("the next call returns another error: %s", v.Again)
		}
	}
	return errors.Join(errs...)
}

// TestMismatchPairs lets one rank make another call than the rest, for every two different calls.
func TestMismatchPairs(t *testing.T) {
	t.Parallel()
	all := deeds()
	limit := make(chan struct{}, 16) // some wait until statuses are told
	var wg sync.WaitGroup
	for _, size := range []int{2, 3, 4} {
		for _, odd := range slices.Compact([]int{0, size - 1}) {
			for i, a := range all {
				for j, b := range all {
					if i == j || testing.Short() && (i*len(all)+j)%16 != 0 {
						continue
					}
					limit <- struct{}{}
					wg.Go(func() {
						defer func() { <-limit }()
						if err := mismatchPair(size, odd, a, b); err != nil {
							t.Errorf("%d ranks, all make %s, but rank %d %s: %v", size, a.name, odd, b.name, err)
						}
					})
				}
			}
		}
	}
	wg.Wait()
}

func mismatchPair(size, odd int, a, b deed) error {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	comms, err := setting{size: size}.open(ctx)
	if err != nil {
		return err
	}
	all := make([]verdict, size)
	err = together(comms, func(c *Comm) error {
		d := a
		if c.Rank() == odd {
			d = b
		}
		all[c.Rank()] = disagree(ctx, "", c, d)
		return nil
	})
	return errors.Join(err, checkVerdicts(size, odd, all), closeAll(comms))
}

// TestMismatchSettings lets ranks disagree about what is not in a call's arguments.
func TestMismatchSettings(t *testing.T) {
	for name, odd := range map[string]Option{
		"algorithm":  WithAlgorithms("allreduce=ring"),
		"chunk size": WithChunkBytes(8192),
	} {
		t.Run(name, func(t *testing.T) {
			const size = 3
			comms := ranks(t, setting{
				size: size, opts: []Option{WithAlgorithms("allreduce=double-tree")},
				rank: func(rank int) []Option {
					if rank == 1 {
						return []Option{odd}
					}
					return nil
				},
			})
			ctx := testContext(t)
			all := make([]verdict, size)
			_ = outcomes(comms, func(c *Comm) error {
				all[c.Rank()] = disagree(ctx, "", c, deeds()[0])
				return nil
			})
			if err := checkVerdicts(size, 1, all); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMismatchProcesses does with processes what TestMismatchPairs does with goroutines, for the
// pairs that differ in kind.
func TestMismatchProcesses(t *testing.T) {
	eachProcessDriver(t, []int{2, 3, 4}, func(t *testing.T, driver string, size int) {
		by := map[string][]verdict{}
		for _, v := range reports[verdict](t, runRanks(t, size, driver, "mismatch", "")) {
			by[v.Part] = append(by[v.Part], v)
		}
		for _, part := range mismatchParts(size) {
			if err := checkVerdicts(size, part.odd, by[part.name()]); err != nil {
				t.Errorf("%s: %v", part.name(), err)
			}
		}
	})
}

// mismatchPart is a job in which rank odd differs.
type mismatchPart struct {
	a, b deed
	odd  int
}

func (p mismatchPart) name() string {
	return fmt.Sprintf("%s, but rank %d %s", p.a.name, p.odd, p.b.name)
}

// mismatchParts pairs an all-reduce with its variations, and calls that go one way with each other.
func mismatchParts(size int) (parts []mismatchPart) {
	all := deeds()
	byName := func(name string) deed {
		return all[slices.IndexFunc(all, func(d deed) bool { return d.name == name })]
	}
	pair := func(a, b string) {
		parts = append(parts, mismatchPart{byName(a), byName(b), len(parts) % size})
	}
	for _, other := range []string{
		"allreduce of f64", "allreduce max", "allreduce of one more", "allreduce of none", "barrier",
		"allgather", "broadcast from or to 0",
	} {
		pair("allreduce", other)
	}
	pair("allreduce by f", "allreduce by g")
	pair("allgather of uneven blocks", "allgather of other blocks of the same sum")
	for _, one := range []string{"broadcast", "reduce", "scatter", "gather"} {
		pair(one+" from or to 0", one+" from or to 1")
		pair(one+" from or to 1", one+" from or to 0")
	}
	pair("broadcast from or to 0", "reduce from or to 0")
	pair("gather from or to 0", "reduce from or to 0")
	return parts
}

// mismatchProgram closes a communicator when all ranks have joined the next job: until then every
// rank can still be reached.
func mismatchProgram(ctx context.Context, _ string) error {
	var last *Comm
	for i := 0; ; i++ {
		c, err := connect(ctx, fmt.Sprint(i))
		if err != nil {
			return err
		}
		if last != nil {
			err = last.Close()
		}
		last = c
		parts := mismatchParts(c.Size())
		if i >= len(parts) {
			return errors.Join(err, c.Close())
		}
		d := parts[i].a
		if c.Rank() == parts[i].odd {
			d = parts[i].b
		}
		if err := errors.Join(err, report(disagree(ctx, parts[i].name(), c, d))); err != nil {
			return err
		}
	}
}

// Settings that all ranks must share are compared when they join.
func TestMismatchedOptionsDoNotJoin(t *testing.T) {
	all := reports[outcome](t, runRanks(t, 2, "zmq:ipc", "options", ""))
	if len(all) != 2 {
		t.Errorf("%d ranks have reported, want 2", len(all))
	}
	for _, r := range all {
		if r.Kind == "" || !strings.Contains(r.Text, "algorithm.allreduce=ring") {
			t.Errorf("rank %d joined, or does not say why not: %s", r.Rank, r.Text)
		}
	}
}

func init() {
	programs["options"] = func(ctx context.Context, _ string) error {
		algorithm := "allreduce=butterfly"
		if rankOfProcess() == 1 {
			algorithm = "allreduce=ring"
		}
		c, err := connect(ctx, "", WithAlgorithms(algorithm))
		if err == nil {
			err = c.Close()
		}
		return report(outcomeOf("", rankOfProcess(), err))
	}
}
