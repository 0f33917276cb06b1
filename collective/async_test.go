package collective

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// eachGround runs a test on ranks of every driver.
func eachGround(t *testing.T, size int, f func(ctx context.Context, c *Comm) error) {
	t.Helper()
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			comms := ranks(t, setting{size: size, driver: g.driver()})
			if err := together(comms, func(c *Comm) error { return f(ctx, c) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// filled is a buffer of one value.
func filled[T tensor.Element](n int, x T) []T {
	b := make([]T, n)
	for i := range b {
		b[i] = x
	}
	return b
}

// all checks that a buffer holds one value.
func all[T tensor.Element](b []T, x T) error {
	if i := slices.IndexFunc(b, func(y T) bool { return y != x }); i >= 0 {
		return fmt.Errorf("element %d of %d is %v, want %v", i, len(b), b[i], x)
	}
	return nil
}

// chanceOf is a source of its own for each rank.
func chanceOf(c *Comm) *rand.Rand { return rand.New(rand.NewPCG(7, uint64(c.Rank()))) }

// Many calls are under way on one communicator, issued in one order and awaited in any.
func TestAsyncManyOutstanding(t *testing.T) {
	const calls = 60
	eachGround(t, 3, func(ctx context.Context, c *Comm) error {
		for range 3 { // later rounds use calls that earlier ones have left
			var works []*Work
			var bufs [][]int64
			for i := range calls {
				bufs = append(bufs, filled(1+i*i*i%20_000, int64(i*(c.Rank()+1))))
				works = append(works, AllReduceAsync(ctx, c, bufs[i], tensor.Sum))
			}
			for _, i := range chanceOf(c).Perm(calls) {
				if err := errors.Join(works[i].Wait(), works[i].Wait()); err != nil {
					return err
				}
				if err := all(bufs[i], int64(6*i)); err != nil {
					return fmt.Errorf("call %d: %w", i, err)
				}
			}
		}
		return nil
	})
}

// Synchronous calls go between asynchronous ones.
func TestAsyncMixedWithCalls(t *testing.T) {
	eachGround(t, 4, func(ctx context.Context, c *Comm) error {
		for i := range 20 {
			bucket := filled(40_000, int32(i))
			w := AllReduceAsync(ctx, c, bucket, tensor.Sum)
			small := filled(3, int32(c.Rank()))
			if err := AllReduce(ctx, c, small, tensor.Max); err != nil {
				return err
			}
			err := errors.Join(Barrier(ctx, c), w.Wait(), all(small, 3), all(bucket, int32(4*i)))
			if err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
		}
		return nil
	})
}

// A call under way goes on by itself, though nobody waits for it: the other ranks need it to.
func TestAsyncNeedsNoWait(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			comms := ranks(t, setting{size: 3, driver: g.driver()})
			for _, n := range []int{1, 100_000, 1} {
				buf := filled(n, float32(1))
				w := AllReduceAsync(ctx, comms[0], buf, tensor.Sum)
				if err := together(comms[1:], func(c *Comm) error {
					buf := filled(n, float32(1))
					return errors.Join(AllReduce(ctx, c, buf, tensor.Sum), all(buf, 3))
				}); err != nil {
					t.Error(err)
				}
				if err := errors.Join(w.Wait(), all(buf, 3)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Every asynchronous form does what its synchronous one does.
func TestAsyncForms(t *testing.T) {
	const n = 1000
	eachGround(t, 3, func(ctx context.Context, c *Comm) error {
		p, me := c.Size(), c.Rank()
		mine := int32(me + 1)
		sum, own := filled(n, mine), filled(n, int32(0))
		bcast, reduced := filled(n, mine), filled(n, int32(0))
		scattered, gathered := filled(n, int32(0)), make([]int32, n*p)
		everything, exchanged := make([]int32, n*p), make([]int32, n*p)
		shards := slices.Concat(filled(n, int32(1)), filled(n, int32(2)), filled(n, int32(3)))
		next, previous := filled(n, mine), filled(n, int32(0))
		works := []*Work{
			AllReduceAsync(ctx, c, sum, tensor.Sum),
			BroadcastAsync(ctx, c, bcast, 1),
			ReduceAsync(ctx, c, reduced, filled(n, mine), tensor.Prod, 2),
			ScatterAsync(ctx, c, scattered, shards, 0),
			GatherAsync(ctx, c, gathered, filled(n, mine), 0),
			AllGatherAsync(ctx, c, everything, filled(n, mine)),
			ReduceScatterAsync(ctx, c, own, shards, tensor.Sum),
			AllToAllAsync(ctx, c, exchanged, shards),
			SendAsync(ctx, c, next, (me+1)%p),
			RecvAsync(ctx, c, previous, (me+p-1)%p),
			BarrierAsync(ctx, c),
		}
		var errs []error
		for i, w := range works {
			if err := w.Wait(); err != nil {
				errs = append(errs, fmt.Errorf("call %d: %w", i, err))
			}
		}
		if me == 2 {
			errs = append(errs, all(reduced, 6))
		}
		if me == 0 {
			for r := range p {
				errs = append(errs, all(gathered[r*n:(r+1)*n], int32(r+1)))
			}
		}
		for r := range p {
			errs = append(errs, all(everything[r*n:(r+1)*n], int32(r+1)),
				all(exchanged[r*n:(r+1)*n], mine))
		}
		errs = append(errs, all(sum, 6), all(bcast, 2), all(scattered, mine), all(own, 3*mine),
			all(previous, int32((me+p-1)%p+1)))
		return errors.Join(errs...)
	})
}

// What is wrong with an asynchronous call, Wait tells.
func TestAsyncArguments(t *testing.T) {
	comms := ranks(t, setting{size: 2})
	w := BroadcastAsync(t.Context(), comms[0], []int8{1}, 2)
	var arg *ArgumentError
	if !w.Done() || !errors.As(w.Wait(), &arg) || !errors.As(w.Wait(), &arg) {
		t.Errorf("got %v, want the arguments to be refused", w.Wait())
	}
	if err := together(comms, func(c *Comm) error { return Barrier(t.Context(), c) }); err != nil {
		t.Errorf("after a refused call: %v", err)
	}
}

// The end of a call's context ends it although nobody waits for it.
func TestAsyncCancelled(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			comms := ranks(t, setting{size: 2, driver: g.driver()})
			ctx, cancel := context.WithCancel(testContext(t))
			w := AllReduceAsync(ctx, comms[1], []float32{1}, tensor.Sum)
			cancel()
			for !w.Done() {
				runtime.Gosched()
			}
			var cancelled *CancelledError
			if err := w.Wait(); !errors.As(err, &cancelled) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want it cancelled", err)
			}
			var aborted *AbortedError
			// The call may have sent its frame before it ended, so that another one would not match it.
			err := AllReduce(testContext(t), comms[0], []float32{1}, tensor.Sum)
			if err == nil { // it had all that it needs before it heard
				err = AllReduce(testContext(t), comms[0], []float32{1}, tensor.Sum)
			}
			if !errors.As(err, &aborted) || aborted.Rank != 1 {
				t.Errorf("the other rank got %v, want an abort by rank 1", err)
			}
		})
	}
}

// Goroutines call on communicators of their own, each in its own order.
func TestConcurrentCommunicators(t *testing.T) {
	const communicators, calls = 6, 30
	eachGround(t, 4, func(ctx context.Context, c *Comm) error {
		var comms []*Comm
		for i := range communicators {
			sub, err := c.Split(ctx, i%2*(c.Rank()%2), c.Rank()*i) // some are of all ranks
			if err != nil {
				return err
			}
			comms = append(comms, sub)
		}
		errs := make([]error, communicators)
		var wg sync.WaitGroup
		for _, i := range chanceOf(c).Perm(communicators) {
			wg.Go(func() {
				sub := comms[i]
				for k := range calls {
					buf := filled(1+(i+k)*(i+k)*37, int64(sub.Rank()+1))
					if err := AllReduce(ctx, sub, buf, tensor.Sum); err != nil {
						errs[i] = err
						return
					}
					if errs[i] = all(buf, int64(sub.Size()*(sub.Size()+1)/2)); errs[i] != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		for _, sub := range comms {
			errs = append(errs, sub.Close())
		}
		return errors.Join(errs...)
	})
}

// A goroutine whose context ends while another one leads does not take the lead along.
func TestConcurrentCancel(t *testing.T) {
	const goroutines = 8
	comms := ranks(t, setting{size: 2})
	ctx := testContext(t)
	subs := make([][]*Comm, 2)
	if err := together(comms, func(c *Comm) error {
		for range goroutines {
			sub, err := c.Split(ctx, 0, 0)
			if err != nil {
				return err
			}
			subs[c.Rank()] = append(subs[c.Rank()], sub)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(ctx)
	var some, others sync.WaitGroup
	for i := range goroutines {
		if i%2 == 0 {
			some.Go(func() {
				var cancelled *CancelledError
				if err := Barrier(ended, subs[0][i]); !errors.As(err, &cancelled) {
					t.Errorf("goroutine %d: %v", i, err)
				}
			})
			continue
		}
		others.Go(func() {
			if err := Barrier(ctx, subs[0][i]); err != nil {
				t.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	cancel()
	some.Wait()
	for i := range goroutines {
		others.Go(func() {
			err := Barrier(ctx, subs[1][i])
			if i%2 == 0 && err == nil { // the cancelled call had sent its part already
				err = Barrier(ctx, subs[1][i])
			}
			var aborted *AbortedError
			if i%2 == 0 != errors.As(err, &aborted) || i%2 == 1 && err != nil {
				t.Errorf("the other rank, communicator %d: %v", i, err)
			}
		})
	}
	others.Wait()
	for _, s := range slices.Concat(subs...) {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The lead is offered to a goroutine at the moment when its context ends: another one must get it.
func TestLeadIsNotLost(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	for range rounds {
		var subs [2][3]*Comm
		err := together(comms, func(c *Comm) (err error) {
			for i := range subs[c.Rank()] {
				if subs[c.Rank()][i], err = c.Split(ctx, 0, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(ctx)
		var calls sync.WaitGroup
		errs := make([]error, 4)
		for i, wait := range []context.Context{ctx, ended, ctx} {
			calls.Go(func() { errs[i] = Barrier(wait, subs[0][i]) })
			for waiting(comms[0]) <= i && ctx.Err() == nil { // the first leads, the others follow in order
				runtime.Gosched()
			}
		}
		e := comms[0].e
		e.enter()
		for range 100 {
			runtime.Gosched() // the one that leads comes back for the turn
		}
		e.finish(e.active[0], nil) // so that it hands over
		cancel()
		e.mu.Unlock()
		errs[3] = Barrier(ctx, subs[1][2])
		calls.Wait()
		errs[1] = nil // cancelled
		for _, s := range append(subs[0][:], subs[1][:]...) {
			errs = append(errs, s.Close())
		}
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
}

// waiting is how many calls are under way at a rank.
func waiting(c *Comm) int {
	c.e.enter()
	defer c.e.mu.Unlock()
	return len(c.e.active)
}

// The context of a call that waits is heeded while the goroutine that waits moves others' calls,
// which never end.
func TestCancelUnderTraffic(t *testing.T) {
	eachGround(t, 2, func(ctx context.Context, c *Comm) error {
		busy, err := c.Split(ctx, 0, 0)
		if err != nil {
			return err
		}
		idle, err := c.Split(ctx, 0, 0)
		if err != nil {
			return err
		}
		ended, cancel := context.WithCancel(ctx)
		defer cancel()
		var traffic sync.WaitGroup
		var trafficErr error
		traffic.Go(func() {
			for i := 0; ; i++ { // rank 0 says when it is enough
				if i == 50 {
					cancel()
				}
				stop := []int8{0}
				if c.Rank() == 0 && i > 50 && idle.failedNow() {
					stop[0] = 1
				}
				buf := filled(20_000, int32(1))
				w := AllReduceAsync(ctx, busy, buf, tensor.Sum)
				trafficErr = errors.Join(Broadcast(ctx, busy, stop, 0), w.Wait(), all(buf, 2))
				if trafficErr != nil || stop[0] == 1 {
					return
				}
			}
		})
		if c.Rank() == 0 {
			err = Recv(ended, idle, make([]int8, 1), 1)
			var cancelled *CancelledError
			if !errors.As(err, &cancelled) {
				return fmt.Errorf("got %w, want it cancelled", err)
			}
		}
		traffic.Wait()
		return errors.Join(trafficErr, Barrier(ctx, c), busy.Close(), idle.Close())
	})
}

// failedNow reports whether the communicator has ended.
func (c *Comm) failedNow() bool {
	c.e.enter()
	defer c.e.mu.Unlock()
	return c.failed != nil
}

// TestTwoWaiters: a call for which two goroutines wait is used again, whoever of them comes back last.
func TestTwoWaiters(t *testing.T) {
	comms := ranks(t, setting{size: 2})
	for range 50 {
		err := together(comms, func(c *Comm) error {
			w := AllReduceAsync(context.Background(), c, make([]float32, 1000), tensor.Sum)
			var g errgroup.Group
			g.Go(w.Wait)
			g.Go(w.Wait)
			return g.Wait()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range comms {
		for _, entry := range c.planner.cache {
			if n := len(entry.idle); entry.key.coll == schedule.AllReduce && n != 1 {
				t.Errorf("rank %d keeps %d calls, want the only one", c.rank, n)
			}
		}
	}
}
