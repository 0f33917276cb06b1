package main

import (
	"context"
	"slices"
	"time"
)

// pending is a sum that is under way.
type pending interface{ Wait() error }

// buckets cut the gradient vector into parts that are summed over the ranks each as soon as it is
// complete. A bucket is large enough that the fixed cost of a call is small beside its transfer,
// and small enough that the first one is on its way early.
type buckets struct {
	grad []float64
	size int // elements of each, but for the last
	sum  func(ctx context.Context, bucket []float64) pending

	begun  int // elements whose sum has begun
	flying []pending
	start  time.Time       // when the first sum of the step began
	took   []time.Duration // of each step, from then until all sums were done
}

// newBuckets cuts grad into buckets of the given size, at least one element.
func newBuckets(
	grad []float64, bytes int, sum func(ctx context.Context, bucket []float64) pending,
) *buckets {
	return &buckets{grad: grad, size: max(bytes/8, 1), sum: sum}
}

// filled starts the sums of all buckets that lie within the first length elements. The last
// bucket may be short.
func (b *buckets) filled(ctx context.Context, length int) {
	for b.begun < length {
		end := min(b.begun+b.size, len(b.grad))
		if end > length {
			return
		}
		if b.begun == 0 {
			b.start = time.Now()
		}
		b.flying = append(b.flying, b.sum(ctx, b.grad[b.begun:end]))
		b.begun = end
	}
}

// wait returns when all sums are done and the vector may be read and filled anew. It waits for all of
// them even when one has failed: their memory is in use until then.
func (b *buckets) wait() error {
	var first error // a communicator reports its first cause to every later call
	for i, p := range b.flying {
		if err := p.Wait(); first == nil {
			first = err
		}
		b.flying[i] = nil
	}
	if b.begun > 0 {
		b.took = append(b.took, time.Since(b.start))
	}
	b.begun, b.flying = 0, b.flying[:0]
	return first
}

// median is how long a step's sums take, zero before the first step.
func (b *buckets) median() time.Duration {
	if len(b.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(b.took))
	return sorted[len(sorted)/2]
}

// count is how many buckets there are.
func (b *buckets) count() int { return (len(b.grad) + b.size - 1) / b.size }
