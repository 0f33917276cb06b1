package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/collective"
)

// counted is a bound that only counts its calls.
type counted struct {
	calls  int
	failAt int
}

var errBroken = errors.New("broken")

func (c *counted) call(context.Context) error {
	if c.calls++; c.calls == c.failAt {
		return errBroken
	}
	return nil
}
func (c *counted) fill(uint64)      {}
func (c *counted) wrong(uint64) int { return 0 }
func (c *counted) clear()           {}

func TestTimedLoop(t *testing.T) {
	b := &counted{}
	samples := make([]time.Duration, 100)
	total, err := timed(context.Background(), b, samples)
	if err != nil || b.calls != len(samples) {
		t.Fatalf("%d calls, %v", b.calls, err)
	}
	var sum time.Duration
	for _, s := range samples {
		sum += s
	}
	if sum != total {
		t.Errorf("samples add up to %v, the loop took %v", sum, total)
	}
	b = &counted{failAt: 3}
	if _, err := timed(context.Background(), b, samples); !errors.Is(err, errBroken) || b.calls != 3 {
		t.Errorf("%d calls, %v", b.calls, err)
	}
}

func TestTimedLoopAllocatesNothing(t *testing.T) {
	var b bound = &counted{}
	samples := make([]time.Duration, 100)
	ctx := context.Background()
	if n := testing.AllocsPerRun(10, func() {
		if _, err := timed(ctx, b, samples); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPercentile(t *testing.T) {
	samples := make([]time.Duration, 200)
	for i := range samples {
		samples[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		n, p int
		want time.Duration
	}{
		{200, 50, 100},
		{200, 99, 198},
		{200, 100, 200},
		{1, 50, 1},
		{1, 99, 1},
		{5, 50, 3},
		{5, 99, 5},
		{2, 50, 1},
	} {
		if got := percentile(samples[:c.n], c.p); got != c.want {
			t.Errorf("percentile %d of 1..%d is %d, want %d", c.p, c.n, got, c.want)
		}
	}
}

// TestCallsMade: what -n and -w say is what happens, on every rank; without them, all ranks agree.
func TestCallsMade(t *testing.T) {
	for _, c := range []struct {
		iterations, warmup int
		calls              int // 0: any number that is the same on all ranks
	}{{10, 3, 13}, {10, 0, 10}, {4, -1, 4 + givenWarmupCalls}, {0, -1, 0}, {0, 7, 0}} {
		calls := make([]int, 3)
		onRanks(t, len(calls), func(comm *collective.Comm) error {
			s := &session{c: comm, o: &options{
				iterations: c.iterations, warmup: c.warmup, target: time.Microsecond,
			}}
			b := &counted{}
			_, err := s.measure(context.Background(), b)
			calls[comm.Rank()] = b.calls
			return err
		})
		if calls[0] != calls[1] || calls[1] != calls[2] || (c.calls > 0 && calls[0] != c.calls) ||
			calls[0] < minIterations {
			t.Errorf("-n %d -w %d: calls on ranks %v, want %d", c.iterations, c.warmup, calls, c.calls)
		}
	}
}
