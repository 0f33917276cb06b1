package collective

import (
	"context"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// AllReduceAsync starts AllReduce and returns, without waiting for other ranks. buf must not be touched
// before Wait.
func AllReduceAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, op tensor.Op) *Work {
	var r request
	allReduce(&r, buf, buf, op)
	return c.start(ctx, &r)
}

// BroadcastAsync starts Broadcast.
func BroadcastAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, root int) *Work {
	var r request
	broadcast(&r, c, buf, buf, root)
	return c.start(ctx, &r)
}

// ReduceAsync starts Reduce.
func ReduceAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, op tensor.Op, root int) *Work {
	var r request
	reduce(&r, c, recv, send, op, root)
	return c.start(ctx, &r)
}

// ScatterAsync starts Scatter.
func ScatterAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, root int) *Work {
	var r request
	scatter(&r, c, recv, send, nil, root)
	return c.start(ctx, &r)
}

// GatherAsync starts Gather.
func GatherAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, root int) *Work {
	var r request
	gather(&r, c, recv, send, nil, root)
	return c.start(ctx, &r)
}

// AllGatherAsync starts AllGather.
func AllGatherAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T) *Work {
	var r request
	allGather(&r, c, recv, send, nil)
	return c.start(ctx, &r)
}

// ReduceScatterAsync starts ReduceScatter.
func ReduceScatterAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, op tensor.Op) *Work {
	var r request
	reduceScatter(&r, c, recv, send, nil, op)
	return c.start(ctx, &r)
}

// AllToAllAsync starts AllToAll.
func AllToAllAsync[T tensor.Element](ctx context.Context, c *Comm, recv, send []T) *Work {
	var r request
	allToAll(&r, c, recv, send)
	return c.start(ctx, &r)
}

// BarrierAsync starts Barrier.
func BarrierAsync(ctx context.Context, c *Comm) *Work {
	return c.start(ctx, &request{coll: schedule.Barrier, typ: tensor.U8})
}

// SendAsync starts Send.
func SendAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, dst int) *Work {
	var r request
	send(&r, buf, dst)
	return c.start(ctx, &r)
}

// RecvAsync starts Recv.
func RecvAsync[T tensor.Element](ctx context.Context, c *Comm, buf []T, src int) *Work {
	var r request
	recv(&r, buf, src)
	return c.start(ctx, &r)
}
