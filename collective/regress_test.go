package collective

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/tensor"
)

// One direction carries all bytes: nothing tells the sender of the small frames that were taken but a
// message about credit, which is not worth sending for them. A large frame must go all the same.
func TestLargeFrameAfterSmallOnes(t *testing.T) {
	for _, chunk := range []int{2 << 20, 4 << 20, 16 << 20} {
		t.Run(fmt.Sprint(chunk), func(t *testing.T) {
			ctx := testContext(t)
			comms := ranks(t, setting{size: 2, opts: []Option{WithChunkBytes(chunk)}})
			err := together(comms, func(c *Comm) error {
				for _, n := range []int{16, chunk - 2*64 - 16, 2 * chunk, 16, chunk} {
					if err := Broadcast(ctx, c, make([]byte, n), 0); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Two ranks are in the Split of all three when they split their pair: the third, which is late, does
// not know the pair's new communicator.
func TestSplitsAtOnce(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 3})
	paired := make(chan struct{}, 2)
	err := together(comms, func(c *Comm) error {
		pair, err := c.Split(ctx, c.Rank()/2, 0)
		if err != nil {
			return err
		}
		if c.Rank() == 2 {
			<-paired
			<-paired
			all, err := c.Split(ctx, 0, 0)
			return errors.Join(err, sumOf(ctx, all, 3), all.Close(), pair.Close())
		}
		var all *Comm
		split := make(chan error, 1)
		go func() {
			var err error
			all, err = c.Split(ctx, 0, 0)
			split <- err
		}()
		(&faultRank{c: c}).awaitCall(func(*call) bool { return true })
		inner, err := pair.Split(ctx, 0, 0)
		paired <- struct{}{}
		if err := errors.Join(err, <-split); err != nil {
			return err
		}
		return errors.Join(sumOf(ctx, inner, 2), inner.Close(), sumOf(ctx, all, 3), all.Close(), pair.Close())
	})
	if err != nil {
		t.Error(err)
	}
}

// sumOf checks a communicator of so many ranks by a call on it.
func sumOf(ctx context.Context, c *Comm, size int) error {
	one := []int32{1}
	if err := AllReduce(ctx, c, one, tensor.Sum); err != nil {
		return err
	}
	if one[0] != int32(size) || c.Size() != size {
		return fmt.Errorf("%v: the sum of ones is %d, want %d", c, one[0], size)
	}
	return nil
}

// Several goroutines ask for the same call.
func TestWaitByMany(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			comms := ranks(t, setting{size: 2, driver: g.driver()})
			err := together(comms, func(c *Comm) error {
				for i := range 100 {
					w := BarrierAsync(ctx, c)
					errs := make([]error, 4)
					var wg sync.WaitGroup
					for k := range errs {
						wg.Go(func() {
							w.Done()
							errs[k] = w.Wait()
						})
					}
					err := Barrier(ctx, c) // reuses the call as soon as it may be
					wg.Wait()
					if err := errors.Join(append(errs, err)...); err != nil {
						return fmt.Errorf("call %d: %w", i, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
