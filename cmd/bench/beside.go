package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

// beside is traffic on a communicator of its own, all-reduces one after another, while others are
// measured.
type beside struct {
	c       *collective.Comm
	enough  atomic.Bool // on rank 0
	done    chan error
	measure *collective.Comm // where the others are measured
}

// startBeside splits c into the two communicators, within a time, and starts the traffic.
func startBeside(ctx, within context.Context, c *collective.Comm, o *options) (*beside, error) {
	b := &beside{done: make(chan error, 1)}
	var opts []collective.Option
	if o.priority {
		opts = append(opts, collective.WithPriority())
	}
	var err error
	if b.measure, err = c.Split(within, 0, c.Rank(), opts...); err != nil {
		return nil, fmt.Errorf("-priority: %w", err)
	}
	if o.beside.bytes == 0 {
		b.done <- nil
		return b, nil
	}
	if b.c, err = c.Split(within, 0, c.Rank()); err != nil {
		return nil, fmt.Errorf("-beside: %w", err)
	}
	go func() { b.done <- b.run(ctx, max(o.beside.bytes/4, 1)) }()
	return b, nil
}

// run goes on until rank 0 has had enough, of which it tells all by the sum itself.
func (b *beside) run(ctx context.Context, count int) error {
	buf := collective.Alloc[float32](b.c, count)
	for {
		clear(buf)
		if b.c.Rank() == 0 && b.enough.Load() {
			buf[0] = 1
		}
		if err := collective.AllReduce(ctx, b.c, buf, tensor.Sum); err != nil {
			return fmt.Errorf("the traffic beside: %w", err)
		}
		if buf[0] != 0 {
			return nil
		}
	}
}

// stop ends the traffic. All ranks call it.
func (b *beside) stop() error {
	b.enough.Store(true)
	return <-b.done
}

// close closes both communicators. Traffic that still goes on ends with its communicator.
func (b *beside) close() error {
	err := b.measure.Close()
	if b.c != nil {
		err = errors.Join(err, b.c.Close())
	}
	return err
}
