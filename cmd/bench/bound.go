package main

import (
	"context"
	"fmt"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// bound is a trial with its buffers, whatever the element type.
type bound interface {
	// call makes the call once.
	call(ctx context.Context) error
	// fill writes the input of the call that seed stands for, and poison over the result.
	fill(seed uint64)
	// wrong counts the wrong elements of the result of the call that seed stands for.
	wrong(seed uint64) int
	// clear zeroes all memory, so that reductions in place stay finite however often repeated.
	clear()
}

// bind lays a trial's buffers into two byte buffers that are large enough for it.
func bind(c *collective.Comm, t trial, a, b []byte) bound {
	switch t.typ {
	case tensor.F64:
		return lay[float64](c, t, a, b)
	case tensor.F32:
		return lay[float32](c, t, a, b)
	case tensor.F16:
		return lay[tensor.Float16](c, t, a, b)
	case tensor.BF16:
		return lay[tensor.BFloat16](c, t, a, b)
	case tensor.I8:
		return lay[int8](c, t, a, b)
	case tensor.U8:
		return lay[uint8](c, t, a, b)
	case tensor.I32:
		return lay[int32](c, t, a, b)
	case tensor.I64:
		return lay[int64](c, t, a, b)
	default:
		return lay[uint64](c, t, a, b)
	}
}

// typed is a trial with buffers of its element type. In place, send and recv are the same vector,
// or one is this rank's block of the other.
type typed[T tensor.Element] struct {
	trial
	c          *collective.Comm
	send, recv []T
}

func lay[T tensor.Element](c *collective.Comm, t trial, a, b []byte) *typed[T] {
	send, recv := t.lengths()
	x := &typed[T]{trial: t, c: c}
	x.send, x.recv = first[T](a, send), first[T](b, recv)
	if !t.inPlace {
		return x
	}
	whole := first[T](a, t.elements())
	x.send, x.recv = whole, whole
	if own := t.rank * t.count; send < len(whole) {
		x.send = whole[own : own+send]
	} else if recv < len(whole) {
		x.recv = whole[own : own+recv]
	}
	return x
}

func first[T tensor.Element](memory []byte, n int) []T {
	return tensor.View[T](memory[:n*tensor.TypeOf[T]().Size()])
}

func (x *typed[T]) call(ctx context.Context) error {
	switch x.op.collective {
	case schedule.AllReduce:
		return collective.AllReduceInto(ctx, x.c, x.recv, x.send, x.redop)
	case schedule.Broadcast:
		return collective.BroadcastInto(ctx, x.c, x.recv, x.send, x.root)
	case schedule.Reduce:
		return collective.Reduce(ctx, x.c, x.recv, x.send, x.redop, x.root)
	case schedule.Scatter:
		return collective.Scatter(ctx, x.c, x.recv, x.send, x.root)
	case schedule.Gather:
		return collective.Gather(ctx, x.c, x.recv, x.send, x.root)
	case schedule.AllGather:
		return collective.AllGather(ctx, x.c, x.recv, x.send)
	case schedule.ReduceScatter:
		return collective.ReduceScatter(ctx, x.c, x.recv, x.send, x.redop)
	case schedule.AllToAll:
		return collective.AllToAll(ctx, x.c, x.recv, x.send)
	case schedule.SendRecv:
		receiving := collective.RecvAsync(ctx, x.c, x.recv, x.previous())
		if err := collective.Send(ctx, x.c, x.send, x.next()); err != nil {
			return err
		}
		return receiving.Wait()
	case schedule.Barrier:
		return collective.Barrier(ctx, x.c)
	}
	return fmt.Errorf("bench cannot call %s", x.op.collective)
}

func (x *typed[T]) clear() {
	clear(x.send)
	clear(x.recv)
}
