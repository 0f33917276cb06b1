package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fixture is a small network with random parameters, and rows of random input with labels.
type fixture struct {
	net    *network
	input  []float64
	labels []uint8
}

func newFixture(seed uint64, widths []int, rows int) *fixture {
	random := rand.New(rand.NewPCG(seed, 0))
	f := &fixture{net: newNetwork(widths, rows)}
	for i := range f.net.params {
		f.net.params[i] = random.NormFloat64()
	}
	for range rows * widths[0] {
		f.input = append(f.input, random.NormFloat64())
	}
	for range rows {
		f.labels = append(f.labels, uint8(random.IntN(widths[len(widths)-1])))
	}
	return f
}

// loss is the summed cross-entropy of rows lo up to hi, times scale in the gradient.
func (f *fixture) loss(lo, hi int, scale float64) float64 {
	width := f.net.out[0].Cols
	copy(f.net.out[0].Data, f.input[lo*width:hi*width])
	logits := f.net.forward(hi - lo)
	last := f.net.delta[len(f.net.delta)-1]
	return crossEntropy(logits, f.labels[lo:hi], scale, top(last, hi-lo))
}

func (f *fixture) gradient(lo, hi int, scale float64) []float64 {
	f.loss(lo, hi, scale)
	f.net.backward(hi-lo, func(int) {})
	return slices.Clone(f.net.grad)
}

var networks = [][]int{{3, 4}, {3, 5, 4}, {4, 6, 5, 3}, {2, 7, 1, 6, 4}}

func TestGradientIsTheSlopeOfTheLoss(t *testing.T) {
	const rows, scale, h = 7, 0.25, 1e-6
	for seed, widths := range networks {
		f := newFixture(uint64(seed), widths, rows)
		got := f.gradient(0, rows, scale)
		want := make([]float64, len(got))
		for i, p := range f.net.params {
			f.net.params[i] = p + h
			above := f.loss(0, rows, 1)
			f.net.params[i] = p - h
			below := f.loss(0, rows, 1)
			f.net.params[i] = p
			want[i] = scale * (above - below) / (2 * h)
		}
		// Central differences are good to h² and to rounding over h.
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-6, 1e-8)); diff != "" {
			t.Errorf("%v: gradient (-differences +back-propagation):\n%s", widths, diff)
		}
		if slices.Max(got) < 1e-3 {
			t.Errorf("%v: the gradient is next to nothing: %v", widths, got)
		}
	}
}

func TestGradientsOfSharesAddUp(t *testing.T) {
	const rows, scale = 11, 1. / 11
	for seed, widths := range networks {
		f := newFixture(uint64(seed), widths, rows)
		want := f.gradient(0, rows, scale)
		for _, size := range []int{2, 3, 5, 16} {
			got := make([]float64, len(want))
			for rank := range size {
				lo, hi := share(rows, rank, size)
				for i, g := range f.gradient(lo, hi, scale) {
					got[i] += g
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-12, 1e-14)); diff != "" {
				t.Errorf("%v, %d shares: gradient (-whole +sum):\n%s", widths, size, diff)
			}
		}
	}
}

func TestGradientOfNoRowsIsZero(t *testing.T) {
	f := newFixture(1, []int{3, 5, 4}, 2)
	f.gradient(0, 2, 1)
	for i, g := range f.gradient(1, 1, 1) {
		if g != 0 {
			t.Fatalf("element %d is %g", i, g)
		}
	}
}

func TestBackwardFillsLastLayerFirst(t *testing.T) {
	f := newFixture(2, []int{3, 5, 4}, 2)
	f.loss(0, 2, 1)
	for i := range f.net.grad {
		f.net.grad[i] = math.NaN()
	}
	var lengths []int
	f.net.backward(2, func(length int) {
		lengths = append(lengths, length)
		if n := len(f.net.grad); length > n || slices.ContainsFunc(f.net.grad[:length], math.IsNaN) {
			t.Errorf("the first %d of %d elements are not complete", length, n)
		}
	})
	// Weights and biases of 5 to 4, then of 3 to 5 units.
	if diff := cmp.Diff([]int{5*4 + 4, 5*4 + 4 + 3*5 + 5}, lengths); diff != "" {
		t.Errorf("lengths (-want +got):\n%s", diff)
	}
}

func TestCrossEntropyOfExtremeLogits(t *testing.T) {
	tests := []struct {
		logits []float64
		label  uint8
		want   float64
	}{
		{[]float64{0, 0, 0, 0}, 2, math.Log(4)},
		{[]float64{1000, 0}, 0, 0},
		{[]float64{1000, 0}, 1, 1000},
		{[]float64{-1e300, -1e300}, 0, math.Log(2)},
	}
	for _, test := range tests {
		n := len(test.logits)
		delta := matrix(make([]float64, n), 1, n)
		got := crossEntropy(matrix(test.logits, 1, n), []uint8{test.label}, 1, delta)
		if math.Abs(got-test.want) > 1e-12 {
			t.Errorf("logits %v, label %d: loss %g, want %g", test.logits, test.label, got, test.want)
		}
		total := 0.0
		for _, d := range delta.Data {
			total += d
		}
		if math.Abs(total) > 1e-15 {
			t.Errorf("logits %v, label %d: gradient %v adds up to %g, not 0", test.logits, test.label, delta.Data, total)
		}
	}
}

func TestCorrect(t *testing.T) {
	logits := matrix([]float64{
		1, 2, 3,
		3, 2, 1,
		1, 1, 0, // the first of equals counts
	}, 3, 3)
	if got := correct(logits, []uint8{2, 1, 0}); got != 2 {
		t.Errorf("%d correct, want 2", got)
	}
}
