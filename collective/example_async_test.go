package collective_test

import (
	"context"
	"fmt"
	"runtime"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

// Buckets of gradients are reduced while the next ones are computed.
func ExampleAllReduceAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		buckets := [][]float32{{1, 2}, {3}, {4, 5, 6}}
		var works []*collective.Work
		for _, b := range buckets {
			works = append(works, collective.AllReduceAsync(ctx, c, b, tensor.Sum))
		}
		for _, w := range works {
			if err := w.Wait(); err != nil {
				return nil, err
			}
		}
		return buckets, nil
	})
	// Output:
	// rank 0: [[2 4] [6] [8 10 12]]
	// rank 1: [[2 4] [6] [8 10 12]]
}

func ExampleWork_Wait() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		w := collective.BarrierAsync(ctx, c)
		err := w.Wait()
		return w.Wait() == err, err // the same again
	})
	// Output:
	// rank 0: true
	// rank 1: true
}

func ExampleWork_Done() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		w := collective.BarrierAsync(ctx, c)
		for !w.Done() {
			runtime.Gosched() // something useful
		}
		return "done", w.Wait()
	})
	// Output:
	// rank 0: done
	// rank 1: done
}

// Calls of different kinds can be under way at once; all ranks start them in the same order.
func ExampleBroadcastAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		config := []int64{int64(42 * (1 - c.Rank()))}
		loss := make([]float64, 1)
		total := collective.ReduceAsync(ctx, c, loss, []float64{0.5}, tensor.Sum, 0)
		told := collective.BroadcastAsync(ctx, c, config, 0)
		if err := told.Wait(); err != nil {
			return nil, err
		}
		if err := total.Wait(); err != nil {
			return nil, err
		}
		return fmt.Sprint(config, loss), nil
	})
	// Output:
	// rank 0: [42] [1]
	// rank 1: [42] [0]
}

func ExampleReduceAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		recv := make([]int32, 1)
		w := collective.ReduceAsync(ctx, c, recv, []int32{int32(c.Rank() + 5)}, tensor.Min, 1)
		err := w.Wait()
		return recv, err
	})
	// Output:
	// rank 0: [0]
	// rank 1: [5]
}

func ExampleScatterAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		recv := make([]int32, 1)
		err := collective.ScatterAsync(ctx, c, recv, []int32{7, 8}, 0).Wait()
		return recv, err
	})
	// Output:
	// rank 0: [7]
	// rank 1: [8]
}

func ExampleGatherAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		recv := make([]int32, 2)
		err := collective.GatherAsync(ctx, c, recv, []int32{int32(c.Rank() + 1)}, 0).Wait()
		return recv, err
	})
	// Output:
	// rank 0: [1 2]
	// rank 1: [0 0]
}

func ExampleAllGatherAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		recv := make([]int32, 2)
		err := collective.AllGatherAsync(ctx, c, recv, []int32{int32(c.Rank() + 1)}).Wait()
		return recv, err
	})
	// Output:
	// rank 0: [1 2]
	// rank 1: [1 2]
}

func ExampleReduceScatterAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		recv := make([]int32, 1)
		err := collective.ReduceScatterAsync(ctx, c, recv, []int32{1, 10}, tensor.Sum).Wait()
		return recv, err
	})
	// Output:
	// rank 0: [2]
	// rank 1: [20]
}

func ExampleAllToAllAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := []int32{int32(c.Rank()), int32(c.Rank() + 10)}
		err := collective.AllToAllAsync(ctx, c, buf, buf).Wait()
		return buf, err
	})
	// Output:
	// rank 0: [0 1]
	// rank 1: [10 11]
}

func ExampleBarrierAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		w := collective.BarrierAsync(ctx, c)
		return "meanwhile", w.Wait()
	})
	// Output:
	// rank 0: meanwhile
	// rank 1: meanwhile
}

func ExampleSendAsync() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		other := 1 - c.Rank()
		mine, theirs := []int32{int32(c.Rank())}, make([]int32, 1)
		send := collective.SendAsync(ctx, c, mine, other)
		recv := collective.RecvAsync(ctx, c, theirs, other)
		if err := send.Wait(); err != nil {
			return nil, err
		}
		err := recv.Wait()
		return theirs, err
	})
	// Output:
	// rank 0: [1]
	// rank 1: [0]
}
