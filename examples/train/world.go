package main

import (
	"context"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

// world is all that training needs of the other ranks. There are two: the ranks of a communicator,
// and a process that is by itself and calls no collective.
type world interface {
	rank() int
	size() int
	// copyFirst makes rank 0's values those of all ranks.
	copyFirst(ctx context.Context, values []float64) error
	// startSum begins to add up values over the ranks, into values of each.
	startSum(ctx context.Context, values []float64) pending
	// sum adds up one real value and some counts over the ranks.
	sum(ctx context.Context, value *float64, counts []uint64) error
	// collect returns one value of each rank, in their order.
	collect(ctx context.Context, value uint64) ([]uint64, error)
}

// group is the ranks of a communicator.
type group struct{ comm *collective.Comm }

func (g group) rank() int { return g.comm.Rank() }
func (g group) size() int { return g.comm.Size() }

func (g group) copyFirst(ctx context.Context, values []float64) error {
	return collective.Broadcast(ctx, g.comm, values, 0)
}

func (g group) startSum(ctx context.Context, values []float64) pending {
	return collective.AllReduceAsync(ctx, g.comm, values, tensor.Sum)
}

func (g group) sum(ctx context.Context, value *float64, counts []uint64) error {
	real := []float64{*value}
	if err := collective.AllReduce(ctx, g.comm, real, tensor.Sum); err != nil {
		return err
	}
	*value = real[0]
	return collective.AllReduce(ctx, g.comm, counts, tensor.Sum)
}

func (g group) collect(ctx context.Context, value uint64) ([]uint64, error) {
	all := make([]uint64, g.comm.Size())
	return all, collective.AllGather(ctx, g.comm, all, []uint64{value})
}

// alone is a process without others: every sum over the ranks is there already.
type alone struct{}

func (alone) rank() int { return 0 }
func (alone) size() int { return 1 }

func (alone) copyFirst(context.Context, []float64) error            { return nil }
func (alone) startSum(context.Context, []float64) pending           { return done{} }
func (alone) sum(context.Context, *float64, []uint64) error         { return nil }
func (alone) collect(_ context.Context, v uint64) ([]uint64, error) { return []uint64{v}, nil }

type done struct{}

func (done) Wait() error { return nil }
