package main

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// onRanks runs f on every rank of a communicator of goroutines.
func onRanks(t *testing.T, ranks int, f func(c *collective.Comm) error) {
	t.Helper()
	comms, err := collective.Local(context.Background(), ranks)
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for _, c := range comms {
		g.Go(func() error {
			if err := f(c); err != nil {
				c.Abort(err) // nobody waits for a rank that has given up
				return fmt.Errorf("rank %d: %w", c.Rank(), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	for _, c := range comms {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// broken is a trial whose call goes wrong on one rank after it is done.
type broken[T tensor.Element] struct {
	*typed[T]
	damage func(result []T)
}

func (b broken[T]) call(ctx context.Context) error {
	err := b.typed.call(ctx)
	if b.rank == b.root {
		b.damage(b.recv)
	}
	return err
}

// TestDamageIsCounted breaks correct results in the ways in which an algorithm goes wrong, and
// expects verification to say on all ranks how many elements are wrong.
func TestDamageIsCounted(t *testing.T) {
	t.Run("f32", damage[float32])
	t.Run("bf16", damage[tensor.BFloat16])
	t.Run("i8", damage[int8])
	t.Run("u64", damage[uint64])
}

func damage[T tensor.Element](t *testing.T) {
	const ranks, root, count = 3, 1, 60
	typ := tensor.TypeOf[T]()
	damages := map[string]struct {
		do    func(result []T)
		exact int // wrong elements; 0: any number of them
	}{
		"none":    {func([]T) {}, -1},
		"one":     {func(r []T) { r[7]++ }, 1},
		"last":    {func(r []T) { r[len(r)-1]++ }, 1},
		"stale":   {func(r []T) { clear(r) }, 0},
		"shifted": {func(r []T) { copy(r, r[1:]) }, 0},
		"swapped": {func(r []T) {
			half := len(r) / 2
			for i := range half {
				r[i], r[half+i] = r[half+i], r[i]
			}
		}, 0},
	}
	for _, op := range operations {
		if op.collective == schedule.Barrier {
			continue
		}
		for name, d := range damages {
			t.Run(op.name+"/"+name, func(t *testing.T) {
				onRanks(t, ranks, func(c *collective.Comm) error {
					s := &session{c: c, o: &options{check: 1}, seed: 40}
					tr := trial{
						op: op, typ: typ, redop: tensor.Sum, root: root, count: count,
						rank: c.Rank(), size: ranks,
					}
					if !op.reduces() {
						tr.redop = tensor.Op{}
					}
					a, b := tensor.AllocBytes(tr.bytes()), tensor.AllocBytes(tr.bytes())
					got, err := s.verify(context.Background(), broken[T]{lay[T](c, tr, a, b), d.do})
					switch {
					case err != nil:
						return err
					case d.exact > 0 && got != d.exact, d.exact == 0 && got < count/2, d.exact < 0 && got != 0:
						return fmt.Errorf("%d wrong elements", got)
					}
					return nil
				})
			})
		}
	}
}

// TestPoisonIsWrong: where nothing was received, everything is wrong but what chance makes equal.
func TestPoisonIsWrong(t *testing.T) {
	for _, typ := range tensor.Types() {
		for _, op := range operations {
			if op.collective == schedule.Barrier {
				continue
			}
			tr := trial{op: op, typ: typ, count: 100, size: 2}
			if op.reduces() {
				tr.redop = tensor.Prod // the fewest different results
			}
			a, b := tensor.AllocBytes(tr.bytes()), tensor.AllocBytes(tr.bytes())
			x := bind(nil, tr, a, b)
			x.fill(1)
			if _, recv := tr.lengths(); x.wrong(1) < recv*9/10 {
				t.Errorf("%s of %v: %d of %d untouched elements are wrong", op.name, typ, x.wrong(1), recv)
			}
		}
	}
}
