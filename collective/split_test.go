package collective

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/tensor"
)

// world ranks of a communicator's ranks, found out by a call on it.
func worldRanks(ctx context.Context, sub *Comm, mine int) ([]int64, error) {
	all := make([]int64, sub.Size())
	return all, AllGather(ctx, sub, all, []int64{int64(mine)})
}

func TestSplit(t *testing.T) {
	const size = 6
	tests := []struct {
		name       string
		color, key func(rank int) int
		want       map[int][]int64 // ranks of the parent, by color
	}{
		{"all", zero, zero, map[int][]int64{0: {0, 1, 2, 3, 4, 5}}},
		{"reversed", zero, func(r int) int { return -r }, map[int][]int64{0: {5, 4, 3, 2, 1, 0}}},
		{"halves", func(r int) int { return r / 3 }, zero, map[int][]int64{0: {0, 1, 2}, 1: {3, 4, 5}}},
		{"each alone", func(r int) int { return 10 * r }, zero, map[int][]int64{
			0: {0}, 10: {1}, 20: {2}, 30: {3}, 40: {4}, 50: {5},
		}},
		{
			"some not", func(r int) int { return r%2 - 1 }, func(r int) int { return (r * 5) % 6 },
			map[int][]int64{0: {5, 3, 1}},
		},
		{
			"keys with equals", zero, func(r int) int { return r % 2 },
			map[int][]int64{0: {0, 2, 4, 1, 3, 5}},
		},
		{
			"keys far apart", zero,
			func(r int) int { return []int{math.MaxInt, math.MinInt, 0, 1, -1, 5}[r] },
			map[int][]int64{0: {1, 4, 2, 3, 5, 0}},
		},
		{"nobody", func(int) int { return -1 }, zero, nil},
	}
	ctx := testContext(t)
	comms := ranks(t, setting{size: size})
	for _, test := range tests {
		err := together(comms, func(c *Comm) error {
			color := test.color(c.Rank())
			sub, err := c.Split(ctx, color, test.key(c.Rank()))
			if err != nil {
				return err
			}
			if color < 0 {
				if sub != nil {
					return fmt.Errorf("a rank of color %d got %v", color, sub)
				}
				return nil
			}
			got, err := worldRanks(ctx, sub, c.Rank())
			if err != nil {
				return err
			}
			if d := cmp.Diff(test.want[color], got); d != "" {
				return fmt.Errorf("color %d (-want +got):\n%s", color, d)
			}
			if got[sub.Rank()] != int64(c.Rank()) || sub.Size() != len(got) {
				return fmt.Errorf("%v is not where its rank stands in %v", sub, got)
			}
			return sub.Close()
		})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func zero(int) int { return 0 }

// Splits of splits, alive at the same time, with calls on all of them in between.
func TestSplitNested(t *testing.T) {
	eachGround(t, 8, func(ctx context.Context, c *Comm) error {
		stack := []*Comm{c}
		for stack[len(stack)-1].Size() > 1 {
			top := stack[len(stack)-1]
			sub, err := top.Split(ctx, top.Rank()%2, top.Rank())
			if err != nil {
				return err
			}
			stack = append(stack, sub)
			for i := range stack { // the newest first
				s := stack[len(stack)-1-i]
				buf := filled(100*i+1, int64(1))
				if err := AllReduce(ctx, s, buf, tensor.Sum); err != nil {
					return fmt.Errorf("%v: %w", s, err)
				}
				if err := all(buf, int64(s.Size())); err != nil {
					return fmt.Errorf("%v: %w", s, err)
				}
			}
		}
		if len(stack) != 4 {
			return fmt.Errorf("split %d times, want 3", len(stack)-1)
		}
		var errs []error
		for _, s := range stack[1:] {
			errs = append(errs, s.Close())
		}
		return errors.Join(append(errs, Barrier(ctx, c))...)
	})
}

// Splits in different groups at the same time, so that numbers of communicators differ.
func TestSplitNumbers(t *testing.T) {
	ctx := testContext(t)
	err := together(ranks(t, setting{size: 4}), func(c *Comm) error {
		half, err := c.Split(ctx, c.Rank()/2, 0)
		if err != nil {
			return err
		}
		var more []*Comm
		for range c.Rank() / 2 * 5 { // only one of the halves
			sub, err := half.Split(ctx, 0, 0)
			if err != nil {
				return err
			}
			more = append(more, sub)
		}
		mixed, err := c.Split(ctx, c.Rank()%2, 0)
		if err != nil {
			return err
		}
		for _, s := range append(slices.Clone(more), half, mixed, c) {
			if err := errors.Join(Barrier(ctx, s), ifSub(s, c)); err != nil {
				return fmt.Errorf("%v: %w", s, err)
			}
		}
		return Barrier(ctx, c)
	})
	if err != nil {
		t.Error(err)
	}
}

// ifSub closes s unless it is c, which the test closes.
func ifSub(s, c *Comm) error {
	if s == c {
		return nil
	}
	return s.Close()
}

// A failure of one communicator leaves the others as they are.
func TestSplitFailsAlone(t *testing.T) {
	eachGround(t, 3, func(ctx context.Context, c *Comm) error {
		good, err := c.Split(ctx, 0, 0)
		if err != nil {
			return err
		}
		bad, err := c.Split(ctx, 0, 0)
		if err != nil {
			return err
		}
		var mismatch *MismatchError
		err = AllReduce(ctx, bad, make([]float32, 10+c.Rank()%2), tensor.Sum)
		if !errors.As(err, &mismatch) {
			return fmt.Errorf("got %v, want a mismatch", err)
		}
		for range 3 {
			buf := filled(100_000, int32(1))
			err := errors.Join(AllReduce(ctx, good, buf, tensor.Sum), all(buf, 3), Barrier(ctx, c))
			if err != nil {
				return err
			}
		}
		return errors.Join(bad.Close(), good.Close())
	})
}
