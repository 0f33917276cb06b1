package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// session is one rank's run through all that the options ask for.
type session struct {
	c       *collective.Comm
	o       *options
	driver  string
	out     reporter  // nil on all ranks but 0
	sink    io.Writer // where out prints to
	a, b    []byte    // memory of every trial's buffers
	samples []time.Duration
	seed    uint64 // of the last verified call; the same on all ranks
	wrong   int
}

// wrongError says that results were wrong, anywhere. Rank 0 returns it for all.
type wrongError struct{ elements int }

func (e *wrongError) Error() string { return fmt.Sprintf("%d elements were wrong", e.elements) }

// measureAll runs every operation, element type, reduction and size on this rank, and closes the
// communicator. Rank 0 reports to out.
func measureAll(ctx context.Context, c *collective.Comm, o *options, out io.Writer) error {
	s := &session{c: c, o: o, driver: c.Driver(), sink: out}
	if c.Rank() == 0 {
		s.out = newReporter(o.format, out)
	}
	err := s.runBeside(ctx)
	if err == nil {
		// Nobody leaves while another is still in the last call.
		err = s.within(ctx, func(ctx context.Context) error { return collective.Barrier(ctx, c) })
	}
	if closeErr := c.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("closing: %w", closeErr))
	}
	if err == nil && s.out != nil && s.wrong > 0 {
		err = &wrongError{s.wrong}
	}
	return err
}

// runBeside is run on a communicator of its own where another is to be busy meanwhile, or it is to
// have priority.
func (s *session) runBeside(ctx context.Context) error {
	if s.o.beside.bytes == 0 && !s.o.priority {
		return s.run(ctx)
	}
	var b *beside
	err := s.within(ctx, func(within context.Context) (err error) {
		b, err = startBeside(ctx, within, s.c, s.o)
		return err
	})
	if err != nil {
		return err
	}
	s.c = b.measure
	if err = s.run(ctx); err == nil {
		err = b.stop()
	}
	return errors.Join(err, b.close())
}

func (s *session) run(ctx context.Context) error {
	if s.o.root >= s.c.Size() {
		return fmt.Errorf("-root %d of %d ranks", s.o.root, s.c.Size())
	}
	var who []place
	err := s.within(ctx, func(ctx context.Context) (err error) {
		who, err = places(ctx, s.c)
		return err
	})
	if err != nil {
		return fmt.Errorf("asking ranks where they run: %w", err)
	}
	trials, err := s.trials()
	if err != nil {
		return err
	}
	most := 0
	for _, t := range trials {
		most = max(most, t.bytes())
	}
	if s.o.plain {
		s.a, s.b = tensor.AllocBytes(most), tensor.AllocBytes(most)
	} else {
		s.a, s.b = collective.Alloc[uint8](s.c, most), collective.Alloc[uint8](s.c, most)
	}
	if s.out != nil {
		s.out.begin(header{driver: s.driver, places: who, options: s.o})
	}
	if s.o.explain {
		return s.explainAll(ctx, trials, s.sink)
	}
	for _, t := range trials {
		if err := s.line(ctx, t); err != nil {
			return err
		}
	}
	if s.out != nil {
		if err := s.out.end(); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
	}
	return nil
}

// trials lists the out-of-place form of every line.
func (s *session) trials() ([]trial, error) {
	var out []trial
	for _, op := range s.o.ops {
		if op.links && s.c.Size() < 2 {
			if len(s.o.ops) == 1 {
				return nil, fmt.Errorf("%s needs 2 ranks, and there is 1", op.name)
			}
			continue
		}
		for _, t := range s.kinds(op) {
			last := -1
			for _, bytes := range s.o.sizes {
				t.count = op.countFor(bytes, t.typ, t.size)
				if t.bytes() != last { // small sizes may come to the same number of blocks
					out = append(out, t)
				}
				last = t.bytes()
			}
		}
	}
	return out, nil
}

// kinds lists the element types and reductions that apply to an operation.
func (s *session) kinds(op *operation) []trial {
	t := trial{
		op: op, root: s.o.root, rank: s.c.Rank(), size: s.c.Size(), typ: tensor.U8, wire: s.o.wire,
	}
	if op.name == "barrier" {
		return []trial{t}
	}
	var out []trial
	for _, t.typ = range s.o.types {
		if !op.reduces() {
			out = append(out, t)
			continue
		}
		for _, t.redop = range s.o.redops {
			if t.redop.Supports(t.typ) == nil {
				out = append(out, t)
			}
		}
	}
	return out
}

// line measures and verifies both forms of a trial and reports them.
func (s *session) line(ctx context.Context, t trial) error {
	out, err := s.half(ctx, t)
	if err != nil {
		return err
	}
	var in *row
	if t.inPlace = t.op.inPlace; t.inPlace {
		if in, err = s.half(ctx, t); err != nil {
			return err
		}
	}
	if s.out == nil {
		return nil
	}
	if err := s.out.line(t, out, in); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// half measures and verifies one form of a trial.
func (s *session) half(ctx context.Context, t trial) (*row, error) {
	algorithm, err := chosenAlgorithm(s.c, t)
	if err != nil {
		return nil, fmt.Errorf("%s of %d bytes of %s: %w", t.op.name, t.bytes(), t.typeName(), err)
	}
	r := newRow(t, s.driver, algorithm)
	err = s.within(ctx, func(ctx context.Context) error {
		b := bind(s.c, t, s.a, s.b)
		b.fill(0)
		if t.inPlace {
			b.clear()
		}
		took, err := s.measure(ctx, b)
		if err != nil {
			return err
		}
		r.setTimes(t, took)
		if s.o.check == 0 || t.op.name == "barrier" {
			return nil
		}
		wrong, err := s.verify(ctx, b)
		if err != nil {
			return err
		}
		r.Wrong = &wrong
		s.wrong += wrong
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s of %d bytes of %s: %w", t.op.name, t.bytes(), t.typeName(), err)
	}
	return r, nil
}

// within bounds f by -timeout.
func (s *session) within(ctx context.Context, f func(context.Context) error) error {
	if s.o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.o.timeout)
		defer cancel()
	}
	return f(ctx)
}

// chosenAlgorithm names the algorithm that the communicator takes for a trial's calls, forced or by
// its own choice. Send and receive are a program of their own.
func chosenAlgorithm(c *collective.Comm, t trial) (string, error) {
	if t.op.collective == schedule.SendRecv {
		return "direct", nil
	}
	x, err := c.Explain(t.op.collective, t.typ, t.count)
	if err != nil {
		return "", err
	}
	return x.Chosen, nil
}
