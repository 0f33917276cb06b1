package collective

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// besides makes a large all-reduce on the world and meanwhile, from a while after its start on,
// small calls on a communicator made with opts; it returns how long the longest of those took on
// rank 0.
func besides(ctx context.Context, c *Comm, opts ...Option) (longest time.Duration, err error) {
	small, err := c.Split(ctx, 0, c.Rank(), opts...)
	if err != nil {
		return 0, err
	}
	large := make([]int32, 4<<20)
	for i := range large {
		large[i] = int32(i + c.Rank())
	}
	w := AllReduceAsync(ctx, c, large, tensor.Sum)
	for i := range 5 {
		time.Sleep(20 * time.Millisecond)
		began := time.Now()
		x := []int64{int64(i * c.Rank())}
		if err := AllReduce(ctx, small, x, tensor.Sum); err != nil {
			return 0, err
		}
		if want := int64(i * c.Size() * (c.Size() - 1) / 2); x[0] != want {
			return 0, fmt.Errorf("small sum %d, want %d", x[0], want)
		}
		if err := Barrier(ctx, small); err != nil {
			return 0, err
		}
		longest = max(longest, time.Since(began))
	}
	if err := w.Wait(); err != nil {
		return 0, err
	}
	for i, x := range large {
		if want := int32(c.Size()*i + c.Size()*(c.Size()-1)/2); x != want {
			return 0, fmt.Errorf("large sum %d is %d, want %d", i, x, want)
		}
	}
	return longest, small.Close()
}

// Small calls of a communicator with priority do not wait behind large ones of another. The network is a
// virtual one, and so is the time that is compared.
func TestPriority(t *testing.T) {
	const size, latency = 3, time.Millisecond
	measure := func(opts ...Option) (longest time.Duration) {
		virtual(t, size, inproc.Options{}, nil, func(ctx context.Context, n *inproc.Network, comms []*Comm) {
			weather(n, size, inproc.LinkConditions{Delay: latency, Bandwidth: 10 << 20})
			err := together(comms, func(c *Comm) error {
				took, err := besides(ctx, c, opts...)
				if c.Rank() == 0 {
					longest = took
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		return longest
	}
	behind, past := measure(), measure(WithPriority())
	t.Logf("small calls took up to %v behind the large one, %v past it", behind, past)
	if past > 20*latency || behind < 5*past {
		t.Errorf("small calls took %v behind a large one, and %v with priority", behind, past)
	}
}

// What has priority arrives whole and in order on every driver, also what is sent last.
func TestPriorityOnDrivers(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			comms := ranks(t, setting{size: 3, driver: g.driver()})
			ctx := testContext(t)
			if err := together(comms, func(c *Comm) error {
				_, err := besides(ctx, c, WithPriority())
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A rank that closes right after its last call on a communicator with priority takes nothing from
// ranks that come late: its farewell is behind its frames.
func TestPriorityFarewell(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			comms := ranks(t, setting{size: 2, driver: g.driver()})
			ctx := testContext(t)
			err := together(comms, func(c *Comm) error {
				first, err := c.Split(ctx, 0, c.Rank(), WithPriority())
				if err != nil {
					return err
				}
				buf := make([]int32, 500_000) // less than the window
				for i := range buf {
					buf[i] = int32(i * (1 - c.Rank()))
				}
				if c.Rank() == 1 {
					time.Sleep(10 * time.Millisecond)
				}
				if err := Broadcast(ctx, first, buf, 0); err != nil {
					return err
				}
				for i, x := range buf {
					if x != int32(i) {
						return fmt.Errorf("element %d is %d", i, x)
					}
				}
				return first.Close()
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
