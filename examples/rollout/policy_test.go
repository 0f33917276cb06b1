package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

// slowNetwork is a perceptron in float64, one number after the other. It returns the outputs for
// one input and the parameters that it did not need.
func slowNetwork(params []float64, widths []int, input []float32) (out, rest []float64) {
	for _, v := range input {
		out = append(out, float64(v))
	}
	for l := 1; l < len(widths); l++ {
		inputs, outputs := widths[l-1], widths[l]
		next := make([]float64, outputs)
		for c := range outputs {
			next[c] = params[inputs*outputs+c]
			for r := range inputs {
				next[c] += out[r] * params[r*outputs+c]
			}
			if l < len(widths)-1 {
				next[c] = math.Tanh(next[c])
			}
		}
		out, params = next, params[(inputs+1)*outputs:]
	}
	return out, params
}

// slowPolicy returns the probabilities of the actions and the value.
func slowPolicy(
	params []float64, hidden []int, input []float32,
) (probabilities []float64, value float64) {
	widths := append(append([]int{observed}, hidden...), actions)
	logits, rest := slowNetwork(params, widths, input)
	widths[len(widths)-1] = 1
	values, _ := slowNetwork(rest, widths, input)
	sum := 0.0
	for _, v := range logits {
		sum += math.Exp(v)
	}
	for _, v := range logits {
		probabilities = append(probabilities, math.Exp(v)/sum)
	}
	return probabilities, values[0]
}

func randomPolicy(random *rand.Rand, hidden []int, rows int) (p *policy, params []float64) {
	p = newPolicy(hidden, rows)
	for i := range p.params {
		p.params[i] = float32(random.NormFloat64() / 2)
		params = append(params, float64(p.params[i]))
	}
	return p, params
}

func normal(random *rand.Rand, n int) (values []float32) {
	for range n {
		values = append(values, float32(random.NormFloat64()))
	}
	return values
}

var hiddenLayers = [][]int{nil, {5}, {7, 6}, {3, 4, 5}}

func TestPolicyIsThatOfFloat64(t *testing.T) {
	for seed, hidden := range hiddenLayers {
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		const rows = 9
		p, params := randomPolicy(random, hidden, rows)
		seen := normal(random, rows*observed)
		copy(p.input(), seen)
		logits, values := p.logits(rows), p.values(rows)
		for row := range rows {
			want, value := slowPolicy(params, hidden, seen[row*observed:][:observed])
			var log [actions]float64
			logSoftmax(logits.Data[row*actions:][:actions], &log)
			for a, v := range log {
				if math.Abs(math.Exp(v)-want[a]) > 1e-5 {
					t.Errorf("%v: probability %g, want %g", hidden, math.Exp(v), want[a])
				}
			}
			if math.Abs(float64(values[row])-value) > 1e-5 {
				t.Errorf("%v: value %g, want %g", hidden, values[row], value)
			}
		}
	}
}

func TestOneObservationIsAsInABatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	const rows = 300
	p, _ := randomPolicy(random, []int{64}, rows)
	seen := normal(random, rows*observed)
	copy(p.input(), seen)
	logits := append([]float32(nil), p.logits(rows).Data...)
	values := append([]float32(nil), p.values(rows)...)
	for row := range rows {
		copy(p.input(), seen[row*observed:][:observed])
		one, value := p.logits(1).Data, p.values(1)[0]
		for a, v := range one {
			if math.Abs(float64(v-logits[row*actions+a])) > 1e-5 {
				t.Fatalf("row %d: logit %g, in the batch %g", row, v, logits[row*actions+a])
			}
		}
		if math.Abs(float64(value-values[row])) > 1e-5 {
			t.Fatalf("row %d: value %g, in the batch %g", row, value, values[row])
		}
	}
}

func TestActingAllocatesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	p, _ := randomPolicy(random, []int{64}, 1)
	if n := testing.AllocsPerRun(100, func() {
		p.values(1)
		p.sample(random)
		p.best()
	}); n > 0 {
		t.Errorf("%g allocations", n)
	}
}

func TestSamplesFollowTheProbabilities(t *testing.T) {
	p := newPolicy(nil, 1)
	copy(p.actor.layers[0].biases, []float32{0, float32(math.Log(3))})
	random := rand.New(rand.NewPCG(1, 0))
	const n = 10_000
	counts := [actions]int{}
	for range n {
		action, logProb := p.sample(random)
		if want := math.Log([]float64{0.25, 0.75}[action]); math.Abs(logProb-want) > 1e-6 {
			t.Fatalf("action %d: log-probability %g, want %g", action, logProb, want)
		}
		counts[action]++
	}
	if share := float64(counts[1]) / n; math.Abs(share-0.75) > 0.02 {
		t.Errorf("action 1 in %g of samples, want 0.75", share)
	}
	if p.best() != 1 {
		t.Error("the most probable action is not the one with the largest logit")
	}
}

func TestInitialWeightsAreOrthogonal(t *testing.T) {
	p := newPolicy([]int{6, 10}, 1)
	p.initialise(stream(1, forParameters, 0, 0))
	gains := map[*mlp]float64{p.actor: actorGain, p.critic: criticGain}
	for network, last := range gains {
		for l, layer := range network.layers {
			gain := math.Sqrt2
			if l == 2 {
				gain = last
			}
			if !orthogonal(layer, gain) {
				t.Errorf("layer %d is not orthogonal with gain %g: %v", l, gain, layer.weights.Data)
			}
		}
	}
	q := newPolicy([]int{6, 10}, 1)
	q.initialise(stream(1, forParameters, 0, 0))
	if fingerprint(p.params) != fingerprint(q.params) {
		t.Error("the same seed gives other parameters")
	}
	q.initialise(stream(2, forParameters, 0, 0))
	if fingerprint(p.params) == fingerprint(q.params) {
		t.Error("another seed gives the same parameters")
	}
}

// orthogonal tells whether the shorter of rows and columns have length gain and right angles.
func orthogonal(l layer, gain float64) bool {
	w := l.weights
	n, length := w.Cols, w.Rows
	at := func(i, k int) float64 { return float64(w.Data[k*w.Stride+i]) }
	if w.Rows < w.Cols {
		n, length = w.Rows, w.Cols
		at = func(i, k int) float64 { return float64(w.Data[i*w.Stride+k]) }
	}
	for i := range n {
		for j := range i + 1 {
			product, want := 0.0, 0.0
			for k := range length {
				product += at(i, k) * at(j, k)
			}
			if i == j {
				want = gain * gain
			}
			if math.Abs(product-want) > 1e-5*gain*gain {
				return false
			}
		}
	}
	return true
}
