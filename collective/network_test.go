package collective

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// The tests here run on a virtual network under a virtual clock: what takes an hour takes no time,
// and a bubble that ends with a goroutine left fails.

// forever is longer than anything takes that ends by itself.
const forever = 240 * time.Hour

// never is when a cut comes too late for any call.
const never = forever / 10

// weather is the conditions of all links between ranks.
func weather(n *inproc.Network, size int, c inproc.LinkConditions) {
	for a := range size {
		for b := range size {
			if a != b {
				n.SetLink(a, b, c)
			}
		}
	}
}

// virtual makes ranks on a network; f gets them, and what it leaves is closed.
func virtual(
	t *testing.T, size int, o inproc.Options, opts []Option,
	f func(ctx context.Context, n *inproc.Network, comms []*Comm),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := inproc.NewNetwork(o)
		comms, err := setting{size: size, driver: n.Driver(), opts: opts}.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), forever)
		defer cancel()
		f(ctx, n, comms)
		if err := closeAll(comms); err != nil {
			t.Error(err)
		}
	})
}

// A slow network only takes time.
func TestSlowNetwork(t *testing.T) {
	calls := 18
	if testing.Short() {
		calls = 9
	}
	slow := inproc.LinkConditions{
		Delay: 30 * time.Millisecond, Jitter: 50 * time.Millisecond, Bandwidth: 1 << 20,
	}
	for round := range matrixAlgorithms() {
		for _, size := range []int{3, 4} {
			virtual(t, size, inproc.Options{Seed: uint64(round)}, matrixWorld(grounds[0], size, round).opts,
				func(ctx context.Context, n *inproc.Network, comms []*Comm) {
					weather(n, size, slow)
					n.SlowReceiver(1, 20*time.Millisecond)
					began := time.Now()
					err := together(comms, func(c *Comm) error {
						ses := &session{ctx: ctx, c: c}
						for v := range someOf(size, round, calls) {
							if v.refused(setting{}, round) != nil {
								continue
							}
							if err := kinds[v.typ].run(ses, v); err != nil {
								return fmt.Errorf("%v: %w", v, err)
							}
						}
						return nil
					})
					if err != nil {
						t.Errorf("round %d: %v", round, err)
					}
					if took := time.Since(began); took < slow.Delay {
						t.Errorf("took %v: the network was not slow", took)
					}
				})
		}
	}
}

// A link that breaks ends the call on all ranks, those at other links too.
func TestCutLink(t *testing.T) {
	const size = 4
	for _, algorithm := range schedule.Algorithms(schedule.AllReduce) {
		if algorithm.Applies != nil {
			continue
		}
		opts := []Option{WithAlgorithms("allreduce=" + algorithm.Name)}
		virtual(t, size, inproc.Options{}, opts, func(
			ctx context.Context, n *inproc.Network, comms []*Comm,
		) {
			weather(n, size, inproc.LinkConditions{Delay: time.Millisecond})
			time.AfterFunc(time.Second, func() { n.Cut(1, 0) })
			for _, err := range outcomes(comms, func(c *Comm) error {
				for {
					buf := filled(5000, float32(1))
					if err := errors.Join(AllReduce(ctx, c, buf, tensor.Sum), all(buf, size)); err != nil {
						return err
					}
				}
			}) {
				var failed *RankFailedError
				if !errors.As(err, &failed) || failed.Rank+failed.DetectedBy != 1 {
					t.Errorf("%s: got %v, want the loss of rank 0 or 1, seen by the other", algorithm.Name, err)
				}
			}
		})
	}
}

// A link that swallows everything is found by a deadline alone; who has it says what it waited for.
func TestSilentLink(t *testing.T) {
	const size = 3
	opts := []Option{WithAlgorithms("allreduce=recursive-doubling")} // rank 2 must be in the call yet
	virtual(t, size, inproc.Options{}, opts, func(
		ctx context.Context, n *inproc.Network, comms []*Comm,
	) {
		weather(n, size, inproc.LinkConditions{Delay: time.Millisecond})
		if err := together(comms, func(c *Comm) error { return Barrier(ctx, c) }); err != nil {
			t.Fatal(err)
		}
		n.Silence(0, 1)
		began := time.Now()
		errs := outcomes(comms, func(c *Comm) error {
			limit := forever
			if c.Rank() == 1 {
				limit = 7 * time.Second
			}
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return AllReduce(ctx, c, make([]float32, 1000), tensor.Sum)
		})
		var cancelled *CancelledError
		if !errors.As(errs[1], &cancelled) || !errors.Is(errs[1], context.DeadlineExceeded) ||
			!strings.Contains(errs[1].Error(), "frame 0 of") ||
			!strings.Contains(errs[1].Error(), "from rank 0") {
			t.Errorf("rank 1: got %v, want its deadline, and that it waited for rank 0", errs[1])
		}
		for _, r := range []int{0, 2} {
			var aborted *AbortedError
			if !errors.As(errs[r], &aborted) || aborted.Rank != 1 {
				t.Errorf("rank %d: got %v, want an abort by rank 1", r, errs[r])
			}
		}
		// Rank 0 is told by rank 2: nothing comes from rank 1.
		if took := time.Since(began); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("took %v, want little more than the deadline", took)
		}
	})
}

// The end of a context wakes a rank that has parked.
func TestCancelIsPrompt(t *testing.T) {
	virtual(t, 2, inproc.Options{}, nil, func(ctx context.Context, _ *inproc.Network, comms []*Comm) {
		for i, wait := range []func(ctx context.Context) error{
			func(ctx context.Context) error { return Barrier(ctx, comms[0]) },
			func(ctx context.Context) error {
				return AllReduceAsync(ctx, comms[1], []int32{1}, tensor.Sum).Wait()
			},
		} {
			mine, cancel := context.WithCancel(ctx)
			began := time.Now()
			time.AfterFunc(10*time.Millisecond, cancel)
			err := wait(mine)
			// The second call finds its communicator ended, if it does not hear of it at once.
			took := time.Since(began)
			if i == 0 && took != 10*time.Millisecond || took > 10*time.Millisecond {
				t.Errorf("wait %d: cancelled after 10 ms, it took %v: %v", i, took, err)
			}
		}
	})
}

// A silent link that heals was only slow.
func TestSilentLinkHeals(t *testing.T) {
	const size = 3
	virtual(t, size, inproc.Options{}, nil, func(
		ctx context.Context, n *inproc.Network, comms []*Comm,
	) {
		if err := together(comms, func(c *Comm) error { return Barrier(ctx, c) }); err != nil {
			t.Fatal(err)
		}
		n.Silence(0, 1)
		n.Silence(1, 2)
		time.AfterFunc(time.Hour, n.HealAll)
		if err := together(comms, func(c *Comm) error {
			buf := filled(100_000, float32(c.Rank()))
			return errors.Join(AllReduce(ctx, c, buf, tensor.Sum), all(buf, 3))
		}); err != nil {
			t.Error(err)
		}
	})
}

// TestCutAnywhere cuts a link at some time of every collective with every algorithm: each rank gets
// the right result or an error of the right type, and none waits for ever.
func TestCutAnywhere(t *testing.T) {
	const size = 4
	cuts := 12
	if testing.Short() {
		cuts = 3
	}
	for round := range matrixAlgorithms() {
		for _, coll := range collectives() {
			if round >= len(schedule.Algorithms(coll)) || forced(coll, round).Name == "hierarchical" {
				continue
			}
			r := rand.New(rand.NewPCG(uint64(round), uint64(coll)))
			v := chance(r, variant{coll: coll, typ: tensor.F32, size: size, n: 5000})
			if coll.Reduces() {
				v.op = "sum"
			}
			if v.refused(setting{}, round) != nil {
				v.shape = even
			}
			whole := cutDuring(t, v, round, 0, 1, never)
			for range cuts {
				a, b := r.IntN(size), r.IntN(size-1)
				if b >= a {
					b++
				}
				cutDuring(t, v, round, a, b, time.Duration(r.Int64N(int64(whole))))
			}
		}
	}
}

// cutDuring makes a call, cuts a link after a time, and tells how long the call took.
func cutDuring(t *testing.T, v variant, round, a, b int, after time.Duration) (took time.Duration) {
	t.Helper()
	opts := append(matrixWorld(grounds[0], v.size, round).opts, WithChunkBytes(4096))
	virtual(t, v.size, inproc.Options{Seed: uint64(after)}, opts, func(
		ctx context.Context, n *inproc.Network, comms []*Comm,
	) {
		weather(n, v.size, inproc.LinkConditions{Delay: time.Millisecond, Jitter: time.Millisecond})
		began := time.Now()
		timer := time.AfterFunc(after, func() { n.Cut(a, b) })
		defer timer.Stop()
		var ended [16]time.Duration
		failed := 0
		for rank, err := range outcomes(comms, func(c *Comm) error {
			err := kinds[v.typ].run(&session{ctx: ctx, c: c}, v)
			ended[c.Rank()] = time.Since(began)
			for i := 0; i < 2 && err == nil && after < never; i++ { // what another has found
				err = Barrier(ctx, c)
			}
			return err
		}) {
			took = max(took, ended[rank])
			if err == nil {
				continue
			}
			failed++
			var lost *RankFailedError
			if !errors.As(err, &lost) || lost.Rank != a && lost.Rank != b {
				t.Errorf("%v, %s, ranks %d and %d cut after %v: %v",
					v, forced(v.coll, round).Name, a, b, after, err)
			}
		}
		if failed != 0 && failed != v.size {
			t.Errorf("%v, %s, ranks %d and %d cut after %v: %d ranks fail, the others hear nothing",
				v, forced(v.coll, round).Name, a, b, after, failed)
		}
	})
	return took
}
