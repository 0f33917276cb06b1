package main

import (
	"context"
	"math/rand/v2"
)

// asyncShare is the percentage of actors whose trajectories are enough for an asynchronous update.
const asyncShare = 60

// taking is how many of the actors take part in an update.
func taking(actors int, async bool) int {
	if async {
		return max(actors*asyncShare/100, 1)
	}
	return actors
}

// local is a crew of actors in this process that play one after the other.
//
// If not all of them take part in an update, it is as if they played at the same time, each as fast
// as it happens to: those that are done first, drawn at random, get the next snapshot, the others
// are still playing with an older one.
type local struct {
	actors  []*actor
	playing [][]float32 // the snapshot that each actor has; nil if it waits for one
	taking  int
	arrival *rand.Rand
}

func newLocal(r recipe, taking int) *local {
	c := &local{
		playing: make([][]float32, r.actors), taking: taking,
		arrival: stream(r.seed, forArrival, 0, 0),
	}
	for number := range r.actors {
		c.actors = append(c.actors, newActor(r, number))
	}
	return c
}

func (c *local) play(ctx context.Context, snapshot []float32) (played []*trajectory, err error) {
	for i, held := range c.playing {
		if held == nil {
			c.playing[i] = snapshot
		}
	}
	for _, i := range c.arrival.Perm(len(c.actors))[:c.taking] {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, err := c.actors[i].collect(c.playing[i])
		if err != nil {
			return nil, err
		}
		played, c.playing[i] = append(played, t), nil
	}
	return played, nil
}

func (*local) reduce(context.Context, []float32) error { return nil }

func (*local) gather(_ context.Context, used []*trajectory) ([]*trajectory, error) {
	return used, nil
}
