package main

import (
	"context"
	"errors"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/tensor"
)

// thrifty is a group whose gradients go as float32, or as what a communicator of their own makes of
// these on the wire. All else stays exact.
type thrifty struct {
	group
	gradients *collective.Comm
	singles   map[*float64]*singles // by the bucket that they are of
}

// newThrifty makes the gradients' communicator. All ranks call it.
func newThrifty(ctx context.Context, comm *collective.Comm, wire tensor.Type) (*thrifty, error) {
	gradients, err := comm.Split(ctx, 0, comm.Rank(), collective.WithWire(wire))
	if err != nil {
		return nil, err
	}
	return &thrifty{group{comm}, gradients, map[*float64]*singles{}}, nil
}

func (t *thrifty) startSum(ctx context.Context, values []float64) pending {
	s := t.singles[&values[0]]
	if s == nil {
		s = &singles{values: values, narrow: make([]float32, len(values))}
		t.singles[&values[0]] = s
	}
	for i, v := range values {
		s.narrow[i] = float32(v)
	}
	s.sum = collective.AllReduceAsync(ctx, t.gradients, s.narrow, tensor.Sum)
	return s
}

// close leaves both communicators.
func (t *thrifty) close() error { return errors.Join(t.gradients.Close(), t.comm.Close()) }

// singles is a bucket in float32 while its sum is under way.
type singles struct {
	values []float64
	narrow []float32
	sum    pending
}

func (s *singles) Wait() error {
	err := s.sum.Wait()
	for i, v := range s.narrow {
		s.values[i] = float64(v)
	}
	return err
}
