package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"time"
)

// job is a recipe and how far to go with it.
type job struct {
	recipe
	steps int // of the environments, over all actors, at most
}

// crew is the actors, wherever they are, and other learners if there are any.
type crew interface {
	// play gives the actors that wait for it a new snapshot, which must not be changed afterwards,
	// and returns what has been played when it is enough for an update.
	play(ctx context.Context, snapshot []float32) ([]*trajectory, error)
	// reduce replaces a gradient by the mean over all learners.
	reduce(ctx context.Context, grad []float32) error
	// gather returns what all learners have learned from, in the order of actors.
	gather(ctx context.Context, used []*trajectory) ([]*trajectory, error)
}

// outcome is what learning has led to.
type outcome struct {
	curve   curve
	version int
	params  []float32
	dropped int // trajectories
	took    time.Duration
}

// learn lets a crew play and learns from it until the problem is solved, or the steps are spent.
// Its outcome, but for the time, depends on the recipe and on what the crew returns when, on
// nothing else. It calls report after each update.
func (j job) learn(ctx context.Context, c crew, report reporter) (out outcome, err error) {
	start := time.Now()
	l := newLearner(j.recipe)
	reduce := func(grad []float32) error { return c.reduce(ctx, grad) }
	for !out.curve.solved() && out.curve.steps < j.steps {
		played, err := c.play(ctx, l.snapshot())
		if err != nil {
			return out, fmt.Errorf("playing with version %d: %w", l.version, err)
		}
		u, err := l.learn(played, reduce)
		if err != nil {
			return out, fmt.Errorf("learning from %d trajectories: %w", len(played), err)
		}
		all, err := c.gather(ctx, u.used)
		if err != nil {
			return out, fmt.Errorf("gathering what was learned from: %w", err)
		}
		out.curve.add(all, u.dropped*j.horizon)
		out.dropped += u.dropped
		out.took = time.Since(start)
		report.update(progress{
			version: l.version, steps: out.curve.steps, episodes: len(out.curve.returns),
			mean: out.curve.mean(), losses: u.losses, took: out.took,
			last: out.curve.solved() || out.curve.steps >= j.steps,
		})
	}
	out.version, out.params = l.version, l.policy.params
	return out, nil
}

// fingerprint is a hash of the bits of parameters.
func fingerprint(params []float32) uint64 {
	hash := fnv.New64a()
	var bits [4]byte
	for _, p := range params {
		binary.LittleEndian.PutUint32(bits[:], math.Float32bits(p))
		hash.Write(bits[:])
	}
	return hash.Sum64()
}
