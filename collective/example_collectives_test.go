package collective_test

import (
	"context"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

func ExampleAllReduce() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := []float32{float32(c.Rank()), 10}
		err := collective.AllReduce(ctx, c, buf, tensor.Sum)
		return buf, err
	})
	// Output:
	// rank 0: [3 30]
	// rank 1: [3 30]
	// rank 2: [3 30]
}

func ExampleAllReduceInto() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		send, recv := []int32{int32(c.Rank()), 7}, make([]int32, 2)
		err := collective.AllReduceInto(ctx, c, recv, send, tensor.Max)
		return [][]int32{send, recv}, err
	})
	// Output:
	// rank 0: [[0 7] [1 7]]
	// rank 1: [[1 7] [1 7]]
}

// Any operation that is associative and commutative reduces.
func ExampleAllReduce_function() {
	gcd := tensor.Func("gcd", func(dst, a, b []int64) {
		for i := range dst {
			x, y := a[i], b[i]
			for y != 0 {
				x, y = y, x%y
			}
			dst[i] = x
		}
	})
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := []int64{int64(12 * (c.Rank() + 2)), int64(c.Rank() + 1)}
		err := collective.AllReduce(ctx, c, buf, gcd)
		return buf, err
	})
	// Output:
	// rank 0: [12 1]
	// rank 1: [12 1]
	// rank 2: [12 1]
}

func ExampleBroadcast() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		buf := make([]uint8, 3)
		if c.Rank() == 1 {
			buf = []uint8{4, 5, 6}
		}
		err := collective.Broadcast(ctx, c, buf, 1)
		return buf, err
	})
	// Output:
	// rank 0: [4 5 6]
	// rank 1: [4 5 6]
	// rank 2: [4 5 6]
}

func ExampleBroadcastInto() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		var send []float64 // only the root's is looked at
		if c.Rank() == 0 {
			send = []float64{0.5, 0.25}
		}
		recv := make([]float64, 2)
		err := collective.BroadcastInto(ctx, c, recv, send, 0)
		return recv, err
	})
	// Output:
	// rank 0: [0.5 0.25]
	// rank 1: [0.5 0.25]
}

func ExampleReduce() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		send := []int64{int64(c.Rank() + 1)}
		var recv []int64
		if c.Rank() == 2 {
			recv = make([]int64, 1)
		}
		err := collective.Reduce(ctx, c, recv, send, tensor.Prod, 2)
		return recv, err
	})
	// Output:
	// rank 0: []
	// rank 1: []
	// rank 2: [6]
}

func ExampleScatter() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		var send []int32
		if c.Rank() == 0 {
			send = []int32{10, 11, 20, 21, 30, 31}
		}
		recv := make([]int32, 2)
		err := collective.Scatter(ctx, c, recv, send, 0)
		return recv, err
	})
	// Output:
	// rank 0: [10 11]
	// rank 1: [20 21]
	// rank 2: [30 31]
}

func ExampleScatterV() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		counts := []int{1, 0, 3}
		var send []int32
		if c.Rank() == 0 {
			send = []int32{10, 30, 31, 32}
		}
		recv := make([]int32, counts[c.Rank()])
		err := collective.ScatterV(ctx, c, recv, send, counts, 0)
		return recv, err
	})
	// Output:
	// rank 0: [10]
	// rank 1: []
	// rank 2: [30 31 32]
}

func ExampleGather() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		var recv []int8
		if c.Rank() == 1 {
			recv = make([]int8, 4)
		}
		err := collective.Gather(ctx, c, recv, []int8{int8(c.Rank()), 9}, 1)
		return recv, err
	})
	// Output:
	// rank 0: []
	// rank 1: [0 9 1 9]
}

func ExampleGatherV() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		counts := []int{0, 1, 2}
		var recv []int64
		if c.Rank() == 0 {
			recv = make([]int64, 3)
		}
		send := []int64{10, 20}[:counts[c.Rank()]]
		err := collective.GatherV(ctx, c, recv, send, counts, 0)
		return recv, err
	})
	// Output:
	// rank 0: [10 10 20]
	// rank 1: []
	// rank 2: []
}

func ExampleAllGather() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		recv := make([]uint64, 3)
		err := collective.AllGather(ctx, c, recv, []uint64{1 << c.Rank()})
		return recv, err
	})
	// Output:
	// rank 0: [1 2 4]
	// rank 1: [1 2 4]
	// rank 2: [1 2 4]
}

func ExampleAllGatherV() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		counts := []int{2, 1, 0}
		recv := make([]int32, 3)
		send := []int32{int32(c.Rank()), 8}[:counts[c.Rank()]]
		err := collective.AllGatherV(ctx, c, recv, send, counts)
		return recv, err
	})
	// Output:
	// rank 0: [0 8 1]
	// rank 1: [0 8 1]
	// rank 2: [0 8 1]
}

func ExampleReduceScatter() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		send, recv := []float32{1, 2, 3, 4}, make([]float32, 2)
		err := collective.ReduceScatter(ctx, c, recv, send, tensor.Sum)
		return recv, err
	})
	// Output:
	// rank 0: [2 4]
	// rank 1: [6 8]
}

func ExampleReduceScatterV() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		counts := []int{3, 1}
		send, recv := []float32{1, 2, 3, 4}, make([]float32, counts[c.Rank()])
		err := collective.ReduceScatterV(ctx, c, recv, send, counts, tensor.Avg)
		return recv, err
	})
	// Output:
	// rank 0: [1 2 3]
	// rank 1: [4]
}

func ExampleAllToAll() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		r := int32(10 * c.Rank())
		recv := make([]int32, 3)
		err := collective.AllToAll(ctx, c, recv, []int32{r, r + 1, r + 2})
		return recv, err
	})
	// Output:
	// rank 0: [0 10 20]
	// rank 1: [1 11 21]
	// rank 2: [2 12 22]
}

func ExampleAllToAllV() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		// Rank 0 sends one element to itself and two to rank 1, which sends nothing to rank 0.
		sendCounts := [][]int{{1, 2}, {0, 1}}[c.Rank()]
		recvCounts := [][]int{{1, 0}, {2, 1}}[c.Rank()]
		send := [][]int32{{1, 2, 3}, {4}}[c.Rank()]
		recv := make([]int32, recvCounts[0]+recvCounts[1])
		err := collective.AllToAllV(ctx, c, recv, recvCounts, send, sendCounts)
		return recv, err
	})
	// Output:
	// rank 0: [1]
	// rank 1: [2 3 4]
}

func ExampleBarrier() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		return "all are here", collective.Barrier(ctx, c)
	})
	// Output:
	// rank 0: all are here
	// rank 1: all are here
}

func ExampleSend() {
	onRanks(2, func(ctx context.Context, c *collective.Comm) (any, error) {
		if c.Rank() == 0 {
			return "sent", collective.Send(ctx, c, []float64{3.5}, 1)
		}
		buf := make([]float64, 1)
		err := collective.Recv(ctx, c, buf, 0)
		return buf, err
	})
	// Output:
	// rank 0: sent
	// rank 1: [3.5]
}

// A ring of messages: everybody sends and receives at the same time.
func ExampleRecv() {
	onRanks(3, func(ctx context.Context, c *collective.Comm) (any, error) {
		next, previous := (c.Rank()+1)%3, (c.Rank()+2)%3
		sent := collective.SendAsync(ctx, c, []int32{int32(c.Rank())}, next)
		buf := make([]int32, 1)
		if err := collective.Recv(ctx, c, buf, previous); err != nil {
			return nil, err
		}
		return buf, sent.Wait()
	})
	// Output:
	// rank 0: [2]
	// rank 1: [0]
	// rank 2: [1]
}
