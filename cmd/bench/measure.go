package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

// Bounds of the number of timed calls when bench chooses it, and of its warm-up.
const (
	minIterations    = 5
	maxIterations    = 200_000
	warmupStart      = 3
	warmupGrowth     = 4
	warmupPerTime    = 4 // the adaptive warm-up takes at least this fraction of the timed loop's time
	givenWarmupCalls = 5 // when -n is given and -w is not
)

// timing is what all ranks agree on for one trial.
type timing struct {
	mean, p50, p99 time.Duration // of the slowest rank in each
}

// measure warms up, times and combines.
func (s *session) measure(ctx context.Context, b bound) (timing, error) {
	estimate, err := s.warmUp(ctx, b)
	if err != nil {
		return timing{}, fmt.Errorf("warm-up: %w", err)
	}
	n := s.o.iterations
	if n == 0 {
		n = int(min(float64(s.o.target)/float64(max(estimate, 1)), maxIterations))
		n = max(n, minIterations)
	}
	if cap(s.samples) < n {
		s.samples = make([]time.Duration, n)
	}
	samples := s.samples[:n]
	clear(samples)
	if err := collective.Barrier(ctx, s.c); err != nil {
		return timing{}, fmt.Errorf("barrier before the timed loop: %w", err)
	}
	total, err := timed(ctx, b, samples)
	if err != nil {
		return timing{}, fmt.Errorf("timed loop: %w", err)
	}
	slices.Sort(samples)
	combined := []float64{
		float64(total) / float64(n), float64(percentile(samples, 50)), float64(percentile(samples, 99)),
	}
	if err := collective.AllReduce(ctx, s.c, combined, tensor.Max); err != nil {
		return timing{}, fmt.Errorf("combining times: %w", err)
	}
	return timing{
		mean: time.Duration(combined[0] + 0.5), p50: time.Duration(combined[1]),
		p99: time.Duration(combined[2]),
	}, nil
}

// timed makes one call for each sample and notes how long it took. It is all that is measured.
func timed(ctx context.Context, b bound, samples []time.Duration) (total time.Duration, err error) {
	start := time.Now()
	for i := range samples {
		if err := b.call(ctx); err != nil {
			return 0, err
		}
		now := time.Since(start)
		samples[i] = now - total
		total = now
	}
	return total, nil
}

// warmUp makes the calls that are not measured. Without a given number it makes more and more of
// them until they take long enough to tell, from the last round, how long one takes; all ranks see
// the longest time of any, so that all make the same number.
func (s *session) warmUp(ctx context.Context, b bound) (estimate time.Duration, err error) {
	given := s.o.warmup
	if given < 0 && s.o.iterations > 0 {
		given = givenWarmupCalls
	}
	if given >= 0 && s.o.iterations > 0 {
		_, err = repeat(ctx, b, given)
		return 0, err
	}
	for n := max(given, warmupStart); ; n *= warmupGrowth {
		if err := collective.Barrier(ctx, s.c); err != nil {
			return 0, err
		}
		elapsed, err := repeat(ctx, b, n)
		if err != nil {
			return 0, err
		}
		longest := []float64{float64(elapsed)}
		if err := collective.AllReduce(ctx, s.c, longest, tensor.Max); err != nil {
			return 0, err
		}
		enough := longest[0] >= float64(s.o.target)/warmupPerTime || n >= maxIterations
		if given >= 0 || enough {
			return time.Duration(longest[0]) / time.Duration(n), nil
		}
	}
}

func repeat(ctx context.Context, b bound, n int) (time.Duration, error) {
	start := time.Now()
	for range n {
		if err := b.call(ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// percentile returns the smallest sample that is not below p percent of them. samples are sorted.
func percentile(samples []time.Duration, p int) time.Duration {
	return samples[(len(samples)*p+99)/100-1]
}

// verify makes calls on fresh input and returns how many elements were wrong on all ranks.
func (s *session) verify(ctx context.Context, b bound) (int, error) {
	wrong := []int64{0}
	for range s.o.check {
		s.seed++
		b.fill(s.seed)
		if err := b.call(ctx); err != nil {
			return 0, fmt.Errorf("verified call: %w", err)
		}
		wrong[0] += int64(b.wrong(s.seed))
	}
	if err := collective.AllReduce(ctx, s.c, wrong, tensor.Sum); err != nil {
		return 0, fmt.Errorf("adding up wrong elements: %w", err)
	}
	return int(wrong[0]), nil
}
