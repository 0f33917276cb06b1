package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// recorder notes which parts of a vector are summed.
type recorder struct {
	waited *int
	err    error
}

func (r recorder) Wait() error {
	*r.waited++
	return r.err
}

func TestBucketsStartWhenComplete(t *testing.T) {
	tests := []struct {
		name     string
		elements int
		bytes    int
		fills    []int
		want     [][]int // lengths of the buckets that start with each fill
	}{
		{"even", 8, 32, []int{4, 8}, [][]int{{4}, {4}}},
		{"several at once", 8, 16, []int{3, 8}, [][]int{{2}, {2, 2, 2}}},
		{"the last is short", 7, 24, []int{6, 7}, [][]int{{3, 3}, {1}}},
		{"short of a bucket", 7, 24, []int{2, 5, 7}, [][]int{nil, {3}, {3, 1}}},
		{"one for all", 5, 1 << 20, []int{4, 5}, [][]int{nil, {5}}},
		{"not even an element", 2, 1, []int{1, 2}, [][]int{{1}, {1}}},
		{"nothing", 0, 8, []int{0}, [][]int{nil}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var begun []int
			waited, total := 0, 0
			b := newBuckets(make([]float64, test.elements), test.bytes, func(_ context.Context, part []float64) pending {
				begun = append(begun, len(part))
				total++
				return recorder{waited: &waited}
			})
			for round := range 2 { // the second must be like the first
				for i, length := range test.fills {
					begun = nil
					b.filled(t.Context(), length)
					if diff := cmp.Diff(test.want[i], begun); diff != "" {
						t.Errorf("round %d, first %d elements (-want +got):\n%s", round, length, diff)
					}
				}
				if err := b.wait(); err != nil {
					t.Fatal(err)
				}
			}
			if waited != total || total != 2*b.count() {
				t.Errorf("waited for %d of %d sums, count is %d", waited, total, b.count())
			}
		})
	}
}

func TestBucketsSumEveryElementOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elements := rapid.IntRange(1, 300).Draw(t, "elements")
		bytes := rapid.IntRange(1, 1000).Draw(t, "bytes")
		grad := make([]float64, elements)
		waited := 0
		b := newBuckets(grad, bytes, func(_ context.Context, part []float64) pending {
			for i := range part {
				part[i]++
			}
			return recorder{waited: &waited}
		})
		for length := 0; length < elements; {
			length = rapid.IntRange(length, elements).Draw(t, "length")
			b.filled(context.Background(), length)
			for i, times := range grad {
				if times > 1 || times == 1 && i >= length {
					t.Fatalf("element %d was summed %g times when %d were complete", i, times, length)
				}
			}
		}
		if err := b.wait(); err != nil {
			t.Fatal(err)
		}
		for i, times := range grad {
			if times != 1 {
				t.Fatalf("element %d was summed %g times", i, times)
			}
		}
	})
}

func TestBucketsWaitForAllInSpiteOfAnError(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	results := []error{nil, first, second, nil}
	waited := 0
	b := newBuckets(make([]float64, 4), 8, func(context.Context, []float64) pending {
		err := results[0]
		results = results[1:]
		return recorder{waited: &waited, err: err}
	})
	b.filled(t.Context(), 4)
	if err := b.wait(); err != first {
		t.Errorf("error %v, want the first", err)
	}
	if waited != 4 {
		t.Errorf("waited for %d of 4 sums", waited)
	}
}
