package main

import (
	"context"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

// members is a crew of ranks, each with one actor and a learner of its own. The learners average their
// gradients, so all take the same steps, and their parameters stay the same without being sent.
type members struct {
	comm  *collective.Comm
	actor *actor
	all   []float32 // the trajectories of all ranks, one behind the other
}

func (c *members) play(_ context.Context, snapshot []float32) ([]*trajectory, error) {
	t, err := c.actor.collect(snapshot)
	return []*trajectory{t}, err
}

func (c *members) reduce(ctx context.Context, grad []float32) error {
	return collective.AllReduce(ctx, c.comm, grad, tensor.Avg)
}

func (c *members) gather(ctx context.Context, used []*trajectory) ([]*trajectory, error) {
	mine := used[0].wire
	if c.all == nil {
		c.all = make([]float32, len(mine)*c.comm.Size())
	}
	if err := collective.AllGather(ctx, c.comm, c.all, mine); err != nil {
		return nil, err
	}
	var all []*trajectory
	for rank := range c.comm.Size() {
		t, err := decodeTrajectory(c.all[rank*len(mine):][:len(mine)])
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}
