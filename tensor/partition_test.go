package tensor

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, math.MaxInt)).Draw(t, "n")
		p := rapid.IntRange(1, 600).Draw(t, "p")
		offsets := Partition(n, p)
		if len(offsets) != p+1 || offsets[0] != 0 || offsets[p] != n {
			t.Fatalf("%d offsets from %d to %d", len(offsets), offsets[0], offsets[p])
		}
		for i := range p {
			want := n / p
			if i < n%p {
				want++
			}
			if size := offsets[i+1] - offsets[i]; size != want {
				t.Fatalf("block %d of %d has %d elements, want %d", i, p, size, want)
			}
		}
	})
}

func TestOffsets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.SliceOf(rapid.IntRange(0, 1<<40)).Draw(t, "counts")
		offsets, err := Offsets(counts)
		if err != nil || len(offsets) != len(counts)+1 || offsets[0] != 0 {
			t.Fatalf("Offsets = %v, %v", offsets, err)
		}
		for i, c := range counts {
			if offsets[i+1]-offsets[i] != c {
				t.Fatalf("block %d has %d elements, want %d", i, offsets[i+1]-offsets[i], c)
			}
		}
	})
}

func TestOffsetsRefuses(t *testing.T) {
	for _, c := range []struct {
		counts []int
		want   CountError
		text   string
	}{
		{[]int{1, -1}, CountError{1, -1, 1}, "counts[1] is -1: a count cannot be negative"},
		{[]int{5, math.MinInt}, CountError{1, math.MinInt, 5}, "negative"},
		{[]int{1, math.MaxInt - 1, 1}, CountError{2, 1, math.MaxInt}, "overflows"},
		{[]int{math.MaxInt, 0, math.MaxInt}, CountError{2, math.MaxInt, math.MaxInt}, "overflows"},
	} {
		offsets, err := Offsets(c.counts)
		var got *CountError
		if !errors.As(err, &got) || *got != c.want || offsets != nil ||
			!strings.Contains(err.Error(), c.text) {
			t.Errorf("Offsets(%v) = %v, %v", c.counts, offsets, err)
		}
	}
	if offsets, err := Offsets([]int{math.MaxInt, 0}); err != nil || offsets[2] != math.MaxInt {
		t.Errorf("the largest total: %v, %v", offsets, err)
	}
}
