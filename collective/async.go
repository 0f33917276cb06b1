package collective

import (
	"context"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// AllReduceAsync starts AllReduce and returns at once. buf must not be touched before Wait.
func AllReduceAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, op tensor.Op) *Work {
	return c.start(ctx, allReduce(buf, buf, op))
}

// BroadcastAsync starts Broadcast.
func BroadcastAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, root int) *Work {
	return c.start(ctx, broadcast(c, buf, buf, root))
}

// ReduceAsync starts Reduce.
func ReduceAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, op tensor.Op, root int) *Work {
	return c.start(ctx, reduce(c, recv, send, op, root))
}

// ScatterAsync starts Scatter.
func ScatterAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, root int) *Work {
	return c.start(ctx, scatter(c, recv, send, nil, root))
}

// GatherAsync starts Gather.
func GatherAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, root int) *Work {
	return c.start(ctx, gather(c, recv, send, nil, root))
}

// AllGatherAsync starts AllGather.
func AllGatherAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T) *Work {
	return c.start(ctx, allGather(c, recv, send, nil))
}

// ReduceScatterAsync starts ReduceScatter.
func ReduceScatterAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, op tensor.Op) *Work {
	return c.start(ctx, reduceScatter(c, recv, send, nil, op))
}

// AllToAllAsync starts AllToAll.
func AllToAllAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T) *Work {
	return c.start(ctx, allToAll(c, recv, send))
}

// BarrierAsync starts Barrier.
func BarrierAsync(ctx context.Context, c *Comm) *Work {
	return c.start(ctx, request{coll: schedule.Barrier, typ: tensor.U8})
}

// SendAsync starts Send.
func SendAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, dst int) *Work {
	return c.start(ctx, send(buf, dst))
}

// RecvAsync starts Recv.
func RecvAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, src int) *Work {
	return c.start(ctx, recv(buf, src))
}
