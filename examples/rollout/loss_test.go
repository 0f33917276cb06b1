package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

// slowLoss is the loss of a batch as Schulman et al. (2017) write it, in float64.
func slowLoss(params []float64, hidden []int, b *batch, r *recipe, clip float64) (loss float64) {
	for i := range b.len() {
		probabilities, value := slowPolicy(params, hidden, b.observations[i*observed:][:observed])
		ratio := probabilities[int(b.actions[i])] / math.Exp(float64(b.logProbs[i]))
		advantage := float64(b.advantages[i])
		clipped := ratio
		if ratio > 1+clip {
			clipped = 1 + clip
		}
		if ratio < 1-clip {
			clipped = 1 - clip
		}
		loss -= math.Min(ratio*advantage, clipped*advantage)
		for _, p := range probabilities {
			loss += r.entropyWeight * p * math.Log(p)
		}
		before, target := float64(b.values[i]), float64(b.targets[i])
		squared := math.Pow(value-target, 2)
		if r.valueClip > 0 {
			held := before + math.Max(-r.valueClip, math.Min(r.valueClip, value-before))
			squared = math.Max(squared, math.Pow(held-target, 2))
		}
		loss += r.valueWeight * squared / 2
	}
	return loss / float64(b.len())
}

// randomBatch has ratios on both sides of the clip, and values within theirs and beyond.
func randomBatch(random *rand.Rand, rows int) *batch {
	b := &batch{
		observations: normal(random, rows*observed), advantages: normal(random, rows),
		values: normal(random, rows), targets: normal(random, rows),
	}
	for range rows {
		b.actions = append(b.actions, float32(random.IntN(actions)))
		b.logProbs = append(b.logProbs, float32(math.Log(0.1+0.8*random.Float64())))
	}
	return b
}

func TestGradientIsTheSlopeOfTheLoss(t *testing.T) {
	const rows, clip, h = 40, 0.2, 1e-6
	for seed, hidden := range hiddenLayers {
		for _, valueClip := range []float64{0, 0.4} {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			p, params := randomPolicy(random, hidden, rows)
			b := randomBatch(random, rows)
			r := &recipe{entropyWeight: 0.1, valueWeight: 0.7, valueClip: valueClip}
			l := lossGradient(p, b, r, clip)
			want := slowLoss(params, hidden, b, r, clip)
			got := l.policy - r.entropyWeight*l.entropy + r.valueWeight*l.value
			if math.Abs(got-want) > 1e-5 {
				t.Errorf("%v, value clip %g: loss %g, want %g", hidden, valueClip, got, want)
			}
			if l.clipped < 0.1 || l.clipped > 0.9 || l.divergence <= 0 {
				t.Errorf("%v: %g of samples clipped, divergence %g", hidden, l.clipped, l.divergence)
			}
			for i, at := range params {
				params[i] = at + h
				above := slowLoss(params, hidden, b, r, clip)
				params[i] = at - h
				below := slowLoss(params, hidden, b, r, clip)
				params[i] = at
				slope := (above - below) / (2 * h)
				if math.Abs(float64(p.grad[i])-slope) > 2e-5*(1+math.Abs(slope)) {
					t.Errorf("%v, value clip %g: gradient %d is %g, the slope %g",
						hidden, valueClip, i, p.grad[i], slope)
				}
			}
		}
	}
}

func TestValueLoss(t *testing.T) {
	tests := []struct {
		name                        string
		value, before, target, clip float64
		loss, derivative            float64
	}{
		{"no clip", 3, 0, 1, 0, 2, 2},
		{"within the clip", 0.1, 0, 1, 0.2, 0.405, -0.9},
		{"moved too far towards the target", 0.5, 0, 1, 0.2, 0.32, 0},
		{"moved too far away", -0.5, 0, 1, 0.2, 1.125, -1.5},
		{"beyond the target", 3, 0, 1, 0.2, 2, 2},
	}
	for _, test := range tests {
		loss, d := valueLoss(test.value, test.before, test.target, test.clip)
		if math.Abs(loss-test.loss) > 1e-12 || math.Abs(d-test.derivative) > 1e-12 {
			t.Errorf("%s: loss %g, derivative %g, want %g, %g",
				test.name, loss, d, test.loss, test.derivative)
		}
	}
}

func TestAdam(t *testing.T) {
	// Step for step as in the paper's algorithm 1, in float64.
	params, grads := []float32{1, -2}, [][]float32{{0.5, -3}, {0.25, 1}, {-1, 0}}
	a := newAdam(2)
	want, m, v := []float64{1, -2}, [2]float64{}, [2]float64{}
	for n, grad := range grads {
		a.apply(params, grad, 0.1)
		for i, g := range grad {
			m[i] = 0.9*m[i] + 0.1*float64(g)
			v[i] = 0.999*v[i] + 0.001*float64(g)*float64(g)
			mean := m[i] / (1 - math.Pow(0.9, float64(n+1)))
			square := v[i] / (1 - math.Pow(0.999, float64(n+1)))
			want[i] -= 0.1 * mean / (math.Sqrt(square) + 1e-5)
			if math.Abs(float64(params[i])-want[i]) > 1e-5 {
				t.Errorf("step %d: parameter %d is %g, want %g", n+1, i, params[i], want[i])
			}
		}
	}
}

func TestShorten(t *testing.T) {
	long, short := []float32{3, -4}, []float32{0.3, 0.4}
	shorten(long, 0.5)
	shorten(short, 0.5)
	if long[0] != 0.3 || long[1] != -0.4 || short[0] != 0.3 || short[1] != 0.4 {
		t.Errorf("shortened to 0.5: %v, %v", long, short)
	}
}
