package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/blas/blas64"
)

// recipe is what determines the outcome of training. It is the same on all ranks.
type recipe struct {
	epochs      int
	batch       int // images a step, over all ranks
	rate        float64
	momentum    float64
	seed        uint64
	hidden      []int
	bucketBytes int
}

// epoch is what one pass over the training images came to, over all ranks.
type epoch struct {
	loss     float64 // mean cross-entropy in nats, of each image before the step it is part of
	accuracy float64 // share of the held-out images that are read correctly afterwards
	took     time.Duration
}

// trainer is one rank's part of training.
type trainer struct {
	recipe
	data     *dataset
	world    world
	net      *network
	buckets  *buckets
	velocity blas64.Vector
	order    []int // the training images in this epoch's order
	labels   []uint8
}

func newTrainer(r recipe, data *dataset, w world) *trainer {
	widths := append(append([]int{pixels}, r.hidden...), classes)
	// A network takes a share of a batch, or of the held-out images in turns of that size.
	rows := (r.batch + w.size() - 1) / w.size()
	t := &trainer{
		recipe: r, data: data, world: w,
		net:    newNetwork(widths, rows),
		order:  make([]int, data.train.len()),
		labels: make([]uint8, rows),
	}
	t.velocity = blas64.Vector{N: len(t.net.params), Inc: 1, Data: make([]float64, len(t.net.params))}
	t.buckets = newBuckets(t.net.grad, r.bucketBytes, w.startSum)
	for i := range t.order {
		t.order[i] = i
	}
	return t
}

// train runs all epochs, and calls report after each step with the steps done, of all epochs, and
// after each epoch, with the epoch.
func (t *trainer) train(ctx context.Context, report reporter) ([]epoch, error) {
	// Only rank 0 draws the first parameters; the others get them from it.
	if t.world.rank() == 0 {
		t.net.initialise(rand.New(rand.NewPCG(t.seed, 0)))
	}
	if err := t.world.copyFirst(ctx, t.net.params); err != nil {
		return nil, fmt.Errorf("copying the first parameters from rank 0: %w", err)
	}
	// All ranks shuffle alike, and each takes its share of the same batches.
	shuffle := rand.New(rand.NewPCG(t.seed, 1))
	var epochs []epoch
	for number := range t.epochs {
		shuffle.Shuffle(len(t.order), func(i, j int) {
			t.order[i], t.order[j] = t.order[j], t.order[i]
		})
		e, err := t.epoch(ctx, report)
		if err != nil {
			return nil, fmt.Errorf("epoch %d: %w", number+1, err)
		}
		epochs = append(epochs, e)
		report.epoch(number+1, e)
	}
	return epochs, nil
}

// steps is how many batches an epoch has.
func (t *trainer) steps() int { return (len(t.order) + t.batch - 1) / t.batch }

func (t *trainer) epoch(ctx context.Context, report reporter) (epoch, error) {
	start := time.Now()
	loss := 0.0
	for at := 0; at < len(t.order); at += t.batch {
		batch := t.order[at:min(at+t.batch, len(t.order))]
		sum, err := t.step(ctx, batch)
		if err != nil {
			return epoch{}, err
		}
		loss += sum
		report.step()
	}
	lo, hi := share(t.data.heldOut.len(), t.world.rank(), t.world.size())
	counts := []uint64{t.correct(lo, hi), uint64(hi - lo)}
	if err := t.world.sum(ctx, &loss, counts); err != nil {
		return epoch{}, err
	}
	return epoch{
		loss:     loss / float64(len(t.order)),
		accuracy: float64(counts[0]) / float64(counts[1]),
		took:     time.Since(start),
	}, nil
}

// step learns from one batch and returns the loss of this rank's share of it, as a sum.
func (t *trainer) step(ctx context.Context, batch []int) (loss float64, err error) {
	lo, hi := share(len(batch), t.world.rank(), t.world.size())
	mine, labels := batch[lo:hi], t.labels[:hi-lo]
	for row, i := range mine {
		labels[row] = t.data.train.label[i]
	}
	t.net.load(t.data.train, mine)
	logits := t.net.forward(len(mine))
	delta := top(t.net.delta[len(t.net.layers)], len(mine))
	loss = crossEntropy(logits, labels, 1/float64(len(batch)), delta)
	t.net.backward(len(mine), func(length int) { t.buckets.filled(ctx, length) })
	if err := t.buckets.wait(); err != nil {
		return 0, fmt.Errorf("summing gradients: %w", err)
	}
	// Momentum: v = m·v + g, p = p - rate·v.
	blas64.Scal(t.momentum, t.velocity)
	blas64.Axpy(1, t.vector(t.net.grad), t.velocity)
	blas64.Axpy(-t.rate, t.velocity, t.vector(t.net.params))
	return loss, nil
}

func (t *trainer) vector(data []float64) blas64.Vector {
	return blas64.Vector{N: len(data), Inc: 1, Data: data}
}

// correct counts how many of the held-out images from lo up to hi the network reads correctly.
func (t *trainer) correct(lo, hi int) (count uint64) {
	for at := lo; at < hi; at += t.net.rows {
		end := min(at+t.net.rows, hi)
		copy(t.net.out[0].Data, t.data.heldOut.x[at*pixels:end*pixels])
		count += correct(t.net.forward(end-at), t.data.heldOut.label[at:end])
	}
	return count
}
