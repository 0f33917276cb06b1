package main

import (
	"math"
	"math/rand/v2"
)

// The cart and its pole, in SI units.
const (
	gravity    = 9.8
	cartMass   = 1.0
	poleMass   = 0.1
	halfLength = 0.5 // of the pole
	pushForce  = 10.0
	tau        = 0.02 // seconds between two observations

	trackLimit   = 2.4
	angleLimit   = 12 * math.Pi / 180
	startLimit   = 0.05 // of each variable at first
	longest      = 500  // steps of an episode
	solvedReturn = 475  // what CartPole-v1 calls solved, as the mean over 100 episodes
)

const (
	observed = 4 // numbers in an observation
	actions  = 2 // left, right
)

// ending tells how an episode stands after a step. The two ways of ending are worth different
// things: after terminated there is no reward to come; truncated is only that nobody watches on, so
// what would have come is estimated.
type ending uint8

const (
	goesOn ending = iota
	terminated
	truncated
)

// cartPole is a cart on a track with a pole hinged to it, to be kept upright by pushing the cart to
// the left or the right: the problem of Barto, Sutton and Anderson, "Neuronlike Adaptive Elements
// That Can Solve Difficult Learning Control Problems", IEEE SMC-13 (1983), without friction, with
// the constants and limits of the environment known as CartPole-v1. Each step is worth a reward of
// 1.
type cartPole struct {
	position, velocity  float64
	angle, angularSpeed float64 // of the pole, from upright, clockwise
	steps               int     // of this episode
	random              *rand.Rand
}

// newCartPole draws the starts of its episodes from random.
func newCartPole(random *rand.Rand) *cartPole {
	c := &cartPole{random: random}
	c.reset()
	return c
}

// reset begins an episode near the middle, near upright, almost at rest.
func (c *cartPole) reset() {
	for _, variable := range []*float64{&c.position, &c.velocity, &c.angle, &c.angularSpeed} {
		*variable = startLimit * (2*c.random.Float64() - 1)
	}
	c.steps = 0
}

// observe writes what can be seen of the state to the first four elements of to.
func (c *cartPole) observe(to []float32) {
	to[0], to[1] = float32(c.position), float32(c.velocity)
	to[2], to[3] = float32(c.angle), float32(c.angularSpeed)
}

// step pushes to the left (0) or to the right (1) for one step of the explicit Euler method. An
// episode that has ended must be reset before the next.
func (c *cartPole) step(action int) (reward float64, end ending) {
	force := pushForce
	if action == 0 {
		force = -pushForce
	}
	acceleration, angular := c.accelerations(force)
	c.position += tau * c.velocity
	c.velocity += tau * acceleration
	c.angle += tau * c.angularSpeed
	c.angularSpeed += tau * angular
	c.steps++
	switch {
	case math.Abs(c.position) > trackLimit || math.Abs(c.angle) > angleLimit:
		return 1, terminated
	case c.steps >= longest:
		return 1, truncated
	}
	return 1, goesOn
}

// accelerations are those of the cart and of the pole's angle under a force on the cart.
func (c *cartPole) accelerations(force float64) (cart, angular float64) {
	const mass = cartMass + poleMass
	sin, cos := math.Sincos(c.angle)
	centrifugal := poleMass * halfLength * c.angularSpeed * c.angularSpeed * sin
	push := (force + centrifugal) / mass
	angular = (gravity*sin - cos*push) / (halfLength * (4.0/3 - poleMass*cos*cos/mass))
	return push - poleMass*halfLength*angular*cos/mass, angular
}
