package main

import "math"

// adam is the optimiser of Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
type adam struct {
	mean, square []float32 // running averages of the gradient and of its square
	steps        int
}

const (
	adamMean    = 0.9
	adamSquare  = 0.999
	adamEpsilon = 1e-5
)

func newAdam(parameters int) *adam {
	return &adam{mean: make([]float32, parameters), square: make([]float32, parameters)}
}

// apply takes one step of a rate along grad, which it does not change.
func (a *adam) apply(params, grad []float32, rate float64) {
	a.steps++
	n := float64(a.steps)
	scale := float32(rate / (1 - math.Pow(adamMean, n)))
	correct := float32(1 / (1 - math.Pow(adamSquare, n)))
	for i, g := range grad {
		a.mean[i] += (1 - adamMean) * (g - a.mean[i])
		a.square[i] += (1 - adamSquare) * (g*g - a.square[i])
		deviation := float32(math.Sqrt(float64(correct * a.square[i])))
		params[i] -= scale * a.mean[i] / (deviation + adamEpsilon)
	}
}

// shorten scales a gradient that is longer than limit down to it.
func shorten(grad []float32, limit float64) {
	squares := 0.0
	for _, g := range grad {
		squares += float64(g) * float64(g)
	}
	if length := math.Sqrt(squares); length > limit {
		scale := float32(limit / length)
		for i := range grad {
			grad[i] *= scale
		}
	}
}
