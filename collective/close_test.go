package collective

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/tutti-ml/tutti/tensor"
)

// A communicator from Split can be closed on one rank while its links live on. A call that needs
// the rank must not wait for it.
func TestCallAfterAnotherRankClosed(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			comms := ranks(t, setting{size: 3, driver: g.driver()})
			err := together(comms, func(c *Comm) error {
				sub, err := c.Split(ctx, 0, 0)
				if err != nil {
					return err
				}
				if err := Barrier(ctx, sub); err != nil {
					return err
				}
				if sub.Rank() == 1 {
					err = sub.Close()
				}
				if err := errors.Join(err, Barrier(ctx, c)); err != nil {
					return err
				}
				if sub.Rank() == 1 {
					return Barrier(ctx, c)
				}
				var aborted *AbortedError
				if err := Barrier(ctx, sub); !errors.As(err, &aborted) || aborted.Rank != 1 {
					return fmt.Errorf("got %v, want an abort by rank 1", err)
				}
				return errors.Join(sub.Close(), Barrier(ctx, c))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// What a rank has sent counts even if it closes at once, before the others call. On every driver so
// little is on its way without them.
func TestCloseKeepsWhatWasSent(t *testing.T) {
	const calls, n = 3, 1000
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			comms, err := setting{size: 3, driver: g.driver()}.open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			closed := make(chan struct{})
			err = together(comms, func(c *Comm) error {
				if err := Barrier(ctx, c); err != nil { // all links are open
					return err
				}
				if c.Rank() == 0 {
					defer close(closed)
				} else {
					<-closed
				}
				for call := range calls {
					buf := bytes.Repeat([]byte{byte(call + 1)}, n)
					if c.Rank() != 0 {
						clear(buf)
					}
					if err := Broadcast(ctx, c, buf, 0); err != nil {
						return fmt.Errorf("call %d: %w", call, err)
					}
					if i := slices.IndexFunc(buf, func(b byte) bool { return b != byte(call+1) }); i >= 0 {
						return fmt.Errorf("call %d: byte %d is %d", call, i, buf[i])
					}
				}
				return c.Close()
			})
			if err := errors.Join(err, closeAll(comms)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Memory is the caller's again when Close has ended its call: what the others get is what was there
// before, or an error. The communicator is not the last one, so that its links live on.
func TestCloseGivesMemoryBack(t *testing.T) {
	const n = 8 << 20
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			comms := ranks(t, setting{size: 2, driver: g.driver()})
			scribbled := make(chan struct{})
			err := together(comms, func(c *Comm) error {
				sub, err := c.Split(ctx, 0, 0)
				if err != nil {
					return err
				}
				buf := bytes.Repeat([]byte{1}, n)
				if c.Rank() == 1 {
					clear(buf)
					<-scribbled
					err := Broadcast(ctx, sub, buf, 0)
					if i := slices.Index(buf, 2); i >= 0 {
						return fmt.Errorf("byte %d is from after the call; it returned %w", i, err)
					}
					if err == nil {
						return errors.New("the root has closed in the call, but it succeeded")
					}
					return errors.Join(sub.Close(), Barrier(ctx, c))
				}
				err = closeAndScribble(ctx, sub, buf)
				close(scribbled)
				return errors.Join(err, Barrier(ctx, c))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// closeAndScribble closes a communicator while a broadcast of buf is under way, as soon as some of
// it is, and uses the memory for something else.
func closeAndScribble(ctx context.Context, c *Comm, buf []byte) error {
	w := BroadcastAsync(ctx, c, buf, 0)
	for sent := false; !sent && !w.Done(); {
		c.e.enter()
		call := c.e.currentCall(c)
		sent = call != nil && call.links[0].sendAt > 0
		c.e.mu.Unlock()
		runtime.Gosched()
	}
	if err := c.Close(); err != nil {
		return err
	}
	if err := w.Wait(); !errors.Is(err, ErrClosed) {
		return fmt.Errorf("the call returned %w, want ErrClosed", err)
	}
	for i := range buf {
		buf[i] = 2
	}
	return nil
}

func init() { programs["exit"] = exitProgram }

// TestExitAfterLastCall lets the root of a large broadcast close and exit as soon as its part is
// over, while the others have much yet to read.
func TestExitAfterLastCall(t *testing.T) {
	times := 5
	if testing.Short() {
		times = 1
	}
	eachProcessDriver(t, []int{2, 3}, func(t *testing.T, driver string, size int) {
		for range times {
			runRanks(t, size, driver, "exit", "")
		}
	})
}

func exitProgram(ctx context.Context, _ string) error {
	c, err := connect(ctx, "")
	if err != nil {
		return err
	}
	buf := make([]float32, 4<<20)
	if c.Rank() == 0 {
		for i := range buf {
			buf[i] = float32(i)
		}
	}
	if err := Broadcast(ctx, c, buf, 0); err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	if c.Rank() == 0 {
		os.Exit(0)
	}
	for i, x := range buf {
		if x != float32(i) {
			return fmt.Errorf("element %d is %v", i, x)
		}
	}
	return nil
}

// Closing is quick and quiet, however often and in whatever order it is done.
func TestCloseTwice(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	err := together(comms, func(c *Comm) error {
		sub, err := c.Split(ctx, 0, -c.Rank())
		if err != nil {
			return err
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			return err
		}
		if err := Barrier(ctx, c); !errors.Is(err, ErrClosed) {
			return fmt.Errorf("a call after Close returns %v", err)
		}
		w := AllReduceAsync(ctx, c, []int32{1}, tensor.Sum)
		if !errors.Is(w.Wait(), ErrClosed) || !w.Done() {
			return fmt.Errorf("an asynchronous call after Close returns %v", w.Wait())
		}
		// The links belong to both.
		return errors.Join(Barrier(ctx, sub), sub.Close(), sub.Close())
	})
	if err != nil {
		t.Error(err)
	}
}

// Abort ends the communicator everywhere, with the reason.
func TestAbort(t *testing.T) {
	t.Parallel()
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			comms := ranks(t, setting{size: 4, driver: g.driver()})
			reason := errors.New("the loss is not a number")
			for _, err := range outcomes(comms, func(c *Comm) error {
				if c.Rank() == 2 {
					c.Abort(reason)
					c.Abort(errors.New("a second reason is not the first"))
				}
				return Barrier(ctx, c)
			}) {
				var aborted *AbortedError
				if !errors.As(err, &aborted) || aborted.Rank != 2 ||
					aborted.Cause != reason.Error() {
					t.Errorf("got %v, want an abort by rank 2: %v", err, reason)
				}
			}
		})
	}
}
