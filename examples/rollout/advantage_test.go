package main

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// slowAdvantage is the sum as it is defined, for one step.
func slowAdvantage(t *trajectory, step int, gamma, lambda float64) (sum float64) {
	weight := 1.0
	for k := step; k < t.steps(); k++ {
		next := 0.0
		switch {
		case t.ends[k] == float32(truncated) || t.ends[k] == float32(goesOn) && k == t.steps()-1:
			next = float64(t.bootstraps[k])
		case t.ends[k] == float32(goesOn):
			next = float64(t.values[k+1])
		}
		sum += weight * (float64(t.rewards[k]) + gamma*next - float64(t.values[k]))
		if t.ends[k] != float32(goesOn) {
			break
		}
		weight *= gamma * lambda
	}
	return sum
}

func TestAdvantagesAreTheirDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(1, 30).Draw(t, "steps")
		got := newTrajectory(0, 0, steps)
		number := rapid.Float32Range(-10, 10)
		for step := range steps {
			got.rewards[step] = number.Draw(t, "reward")
			got.values[step] = number.Draw(t, "value")
			got.ends[step] = float32(rapid.SampledFrom([]ending{0, 0, 0, 1, 2}).Draw(t, "ending"))
			if got.cut(step) {
				got.bootstraps[step] = number.Draw(t, "bootstrap")
			}
		}
		gamma := rapid.Float64Range(0, 1).Draw(t, "gamma")
		lambda := rapid.Float64Range(0, 1).Draw(t, "lambda")
		s := estimate(got, gamma, lambda)
		for step := range steps {
			want := slowAdvantage(got, step, gamma, lambda)
			if math.Abs(float64(s.advantages[step])-want) > 1e-4 {
				t.Errorf("step %d: advantage %g, want %g", step, s.advantages[step], want)
			}
			target := want + float64(got.values[step])
			if math.Abs(float64(s.targets[step])-target) > 1e-4 {
				t.Errorf("step %d: target %g, want %g", step, s.targets[step], target)
			}
		}
	})
}

func TestNormalise(t *testing.T) {
	values := []float32{1, 2, 3, 6}
	normalise(values)
	for i, want := range []float64{-2, -1, 0, 3} {
		if math.Abs(float64(values[i])-want/math.Sqrt(3.5)) > 1e-6 {
			t.Errorf("value %d is %g, want %g", i, values[i], want/math.Sqrt(3.5))
		}
	}
	same := []float32{5, 5}
	if normalise(same); same[0] != 0 || same[1] != 0 {
		t.Errorf("equal values become %v", same)
	}
}
