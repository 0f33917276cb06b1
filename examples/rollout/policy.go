package main

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas/blas32"
)

// The first policy is almost indifferent, so that it explores; the first values are moderate
// (Andrychowicz et al., "What Matters for On-Policy Deep Actor-Critic Methods?", ICLR 2021).
const (
	actorGain  = 0.01
	criticGain = 1
)

// policy is an actor, from an observation to the logits of the actions, and a critic, from an
// observation to its value: two perceptrons that share nothing but their input. All parameters
// stand in one vector, the actor's first, and their gradient in another of the same layout: they
// are sent and reduced as they are.
type policy struct {
	params, grad  []float32
	actor, critic *mlp
}

// newPolicy makes a policy with hidden layers of these widths and all parameters zero, for passes
// of up to rows observations.
func newPolicy(hidden []int, rows int) *policy {
	actor := append(append([]int{observed}, hidden...), actions)
	critic := append(append([]int{observed}, hidden...), 1)
	split := parametersOf(actor)
	total := split + parametersOf(critic)
	p := &policy{params: make([]float32, total), grad: make([]float32, total)}
	p.actor = newMLP(actor, rows, p.params[:split], p.grad[:split])
	p.critic = newMLP(critic, rows, p.params[split:], p.grad[split:])
	p.critic.out[0] = p.actor.out[0]
	return p
}

func (p *policy) initialise(random *rand.Rand) {
	p.actor.initialise(random, actorGain)
	p.critic.initialise(random, criticGain)
}

// input is where the observations of the next pass belong, one after the other.
func (p *policy) input() []float32 { return p.actor.out[0].Data }

// logits are those of the actions for the first rows observations of the input.
func (p *policy) logits(rows int) blas32.General { return p.actor.forward(rows) }

// values are those of the first rows observations of the input.
func (p *policy) values(rows int) []float32 { return p.critic.forward(rows).Data }

// sample draws an action for the first observation of the input, and returns it with the logarithm
// of its probability.
func (p *policy) sample(random *rand.Rand) (action int, logProb float64) {
	var log [actions]float64
	logSoftmax(p.logits(1).Data, &log)
	at := random.Float64()
	for action = range actions - 1 {
		if at -= math.Exp(log[action]); at < 0 {
			return action, log[action]
		}
	}
	return actions - 1, log[actions-1]
}

// best is the most probable action for the first observation of the input.
func (p *policy) best() (action int) {
	logits := p.logits(1).Data
	for a, v := range logits {
		if v > logits[action] {
			action = a
		}
	}
	return action
}

// logSoftmax writes the logarithms of the probabilities that logits stand for.
func logSoftmax(logits []float32, to *[actions]float64) {
	highest := math.Inf(-1)
	for _, v := range logits {
		highest = max(highest, float64(v))
	}
	sum := 0.0
	for a, v := range logits {
		to[a] = float64(v) - highest
		sum += math.Exp(to[a])
	}
	shift := math.Log(sum)
	for a := range to {
		to[a] -= shift
	}
}
