package main

import "math"

// samples is a trajectory made ready to learn from.
type samples struct {
	*trajectory
	advantages []float32 // normalised
	targets    []float32 // of the values
}

// estimate computes the advantage of each action by generalised advantage estimation (Schulman et
// al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation", ICLR 2016):
// the sum over what follows in the episode of (γλ)^k times the temporal-difference error. It is cut
// where the trajectory is, and there the critic says what would have come.
func estimate(t *trajectory, gamma, lambda float64) samples {
	s := samples{t, make([]float32, t.steps()), make([]float32, t.steps())}
	advantage, next := 0.0, 0.0
	for step := t.steps() - 1; step >= 0; step-- {
		if ending(t.ends[step]) != goesOn || t.cut(step) {
			advantage, next = 0, float64(t.bootstraps[step])
		}
		value := float64(t.values[step])
		advantage = float64(t.rewards[step]) + gamma*next - value + gamma*lambda*advantage
		s.advantages[step], s.targets[step] = float32(advantage), float32(advantage+value)
		next = value
	}
	return s
}

// normalise shifts and scales values to mean 0 and standard deviation 1.
func normalise(values []float32) {
	mean, squares := 0.0, 0.0
	for _, v := range values {
		mean += float64(v)
	}
	mean /= float64(len(values))
	for _, v := range values {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	deviation := math.Sqrt(squares/float64(len(values))) + 1e-8
	for i, v := range values {
		values[i] = float32((float64(v) - mean) / deviation)
	}
}
