package collective

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/tensor"
)

var errFunction = errors.New("the function's own error")

// A function that panics on one rank ends the communicator, whoever runs it: no rank hangs or dies, each has an
// error that says who, and the rank itself the value.
func TestFunctionPanics(t *testing.T) {
	for _, g := range grounds {
		for _, n := range []int{1, 1000, 500_000} {
			for _, async := range []bool{false, true} {
				for end, f := range map[string]func(){"panic": func() { panic(errFunction) }, "exit": runtime.Goexit} {
					t.Run(fmt.Sprintf("%s/%d/async %v/%s", g.name, n, async, end), func(t *testing.T) {
						functionPanics(t, setting{size: 2, driver: g.driver()}, n, async, f)
					})
				}
			}
		}
	}
}

func functionPanics(t *testing.T, s setting, n int, async bool, end func()) {
	ctx := testContext(t)
	comms := ranks(t, s)
	functions := make([]tensor.Op, len(comms))
	for rank := range functions {
		calls := 0 // of a function by one goroutine at a time: who has the turn
		functions[rank] = tensor.Func("add", func(dst, a, b []int64) {
			if calls++; rank == 1 && calls > 3 {
				if calls > 4 {
					t.Error("the function is called again")
				}
				end()
			}
			for i := range dst {
				dst[i] = a[i] + b[i]
			}
		})
	}
	errs := make([]error, len(comms))
	_ = together(comms, func(c *Comm) error { // the errors are looked at below
		buf := make([]int64, n)
		for errs[c.rank] == nil {
			if async {
				errs[c.rank] = AllReduceAsync(ctx, c, buf, functions[c.rank]).Wait()
			} else {
				errs[c.rank] = AllReduce(ctx, c, buf, functions[c.rank])
			}
		}
		return nil
	})
	if errs[1] == nil { // the goroutine has ended
		errs[1] = AllReduce(ctx, comms[1], make([]int64, n), functions[1])
	}
	var p *PanicError
	if err := errs[1]; !errors.As(err, &p) || p.Rank != 1 || p.Op != "add" ||
		!errors.Is(err, errFunction) && !errors.Is(err, ErrGoexit) || p.Call.Count != n || len(p.Stack) == 0 {
		t.Errorf("rank 1, whose function panics: %v", err)
	}
	var aborted *AbortedError
	if !errors.As(errs[0], &aborted) || aborted.Rank != 1 || aborted.Call.Count != n {
		t.Errorf("rank 0: %v", errs[0])
	}
	if err := Barrier(ctx, comms[1]); !errors.As(err, &p) {
		t.Errorf("the next call: %v", err)
	}
}

// In a brief call it is no other.
func TestFunctionPanicsInABriefCall(t *testing.T) {
	for _, name := range []string{"breaks", "IUerlaaz"} { // the ID of the second one is 0, as that of tensor.Sum
		var r request
		buf := []int64{1}
		broken := false
		allReduce(&r, buf, buf, tensor.Func(name, func(_, _, _ []int64) {
			if broken {
				panic(errFunction)
			}
		}))
		c, entry := known(t, &mirror{}, &r)
		broken = true
		if _, begun, done := c.tryBrief(entry, &r); !begun || done {
			t.Fatalf("begun %v, done %v", begun, done)
		}
		if err := c.usable(); !errors.Is(err, errFunction) {
			t.Errorf("the communicator: %v", err)
		}
	}
	if tensor.Func("IUerlaaz", func(_, _, _ []int64) {}).ID() != 0 {
		t.Error("the ID is not 0")
	}
}

// That the communicator has ended is told, even if the link does not take it at once and the goroutine has gone.
func TestFunctionEndsItsGoroutineInABriefCall(t *testing.T) {
	var r request
	buf := []int64{1}
	exits := false
	allReduce(&r, buf, buf, tensor.Func("exits", func(_, _, _ []int64) {
		if exits {
			runtime.Goexit()
		}
	}))
	l := &inliner{}
	c, entry := known(t, l, &r)
	exits, l.refused = true, true
	var caller sync.WaitGroup
	caller.Go(func() { _, _, _ = c.tryBrief(entry, &r) }) // with the test's turn
	caller.Wait()
	if err := c.usable(); !errors.Is(err, ErrGoexit) {
		t.Errorf("the communicator: %v", err)
	}
	if !l.givesLater(c) {
		t.Error("nobody is told")
	}
}

// again makes a second communicator of the same ranks.
func again(t *testing.T, ctx context.Context, comms []*Comm) []*Comm {
	t.Helper()
	others := make([]*Comm, len(comms))
	if err := together(comms, func(c *Comm) (err error) {
		others[c.rank], err = c.Split(ctx, 0, c.rank)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return others
}

// A function may run in another call's goroutine: that call goes on.
func TestFunctionPanicsInAnothersCall(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	others := again(t, ctx, comms)
	withoutPump(comms...)
	fails := tensor.Func("fails", func(_, _, _ []int64) { panic("no sum") })
	err := together(comms, func(c *Comm) error {
		w := AllReduceAsync(ctx, others[c.rank], make([]int64, 1000), fails)
		for range 20 { // whoever waits here runs the other call, too
			if err := AllReduce(ctx, c, make([]float32, 100_000), tensor.Sum); err != nil {
				return err
			}
		}
		var p *PanicError
		var aborted *AbortedError
		if err := w.Wait(); !errors.As(err, &p) && !errors.As(err, &aborted) {
			return fmt.Errorf("the other call: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A root's function is run on frames as they come, or on those that were held.
func TestFunctionPanicsOnAFrame(t *testing.T) {
	ctx := testContext(t)
	for _, held := range []bool{false, true} {
		comms := ranks(t, setting{size: 2})
		fails := tensor.Func("fails", func(_, _, _ []int64) { panic(errFunction) })
		err := together(comms, func(c *Comm) error {
			buf := make([]int64, 1000)
			if c.rank == 0 {
				w := ReduceAsync(ctx, c, nil, buf, fails, 1)
				if held { // the other rank parks meanwhile, and holds the frame
					time.Sleep(20 * time.Millisecond)
					if err := Send(ctx, c, []int64{1}, 1); err != nil {
						return err
					}
				}
				var aborted *AbortedError
				if err := w.Wait(); err != nil && !errors.As(err, &aborted) {
					return err
				}
				return nil
			}
			if held {
				if err := Recv(ctx, c, []int64{0}, 0); err != nil {
					return err
				}
			}
			if err := Reduce(ctx, c, make([]int64, 1000), buf, fails, 1); !errors.Is(err, errFunction) {
				return fmt.Errorf("the root: %w", err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("held %v: %v", held, err)
		}
	}
}

// Where a function ends the goroutine that was at work for other communicators, too, all of them end. The pump
// may be that goroutine, or who waits for another call.
func TestFunctionEndsItsGoroutine(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	others := again(t, ctx, comms)
	exits := tensor.Func("exits", func(_, _, _ []int64) { runtime.Goexit() })
	for rank, c := range comms {
		var callers sync.WaitGroup
		for range 3 { // one of them leads
			callers.Go(func() {
				for AllReduce(ctx, c, make([]int64, 100_000), tensor.Sum) == nil {
				}
			})
		}
		AllReduceAsync(ctx, others[rank], make([]int64, 1000), exits) // nobody waits for it
		defer callers.Wait()
	}
	for rank, c := range comms {
		for _, c := range []*Comm{c, others[rank]} {
			until(t, ctx, c, func(pump, bool) bool { return c.failed != nil })
			if err := Barrier(ctx, c); !errors.Is(err, ErrGoexit) && !strings.Contains(err.Error(), ErrGoexit.Error()) {
				t.Errorf("rank %d: %v", rank, err)
			}
		}
	}
}

// The rank alone runs no function.
func TestFunctionOfOneRank(t *testing.T) {
	c := ranks(t, setting{size: 1})[0]
	fails := tensor.Func("fails", func(_, _, _ []int64) { panic("no sum") })
	if err := AllReduce(context.Background(), c, []int64{1}, fails); err != nil {
		t.Error(err)
	}
}
