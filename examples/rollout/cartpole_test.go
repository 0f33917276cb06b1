package main

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// slowStep computes a transition from the equations of motion as they are derived, for the forces
// on the cart and the torques on the pole:
//
//	(M+m)·a + m·l·cos θ·α = F + m·l·ω²·sin θ
//	m·l·cos θ·a + 4/3·m·l²·α = m·g·l·sin θ
//
// by solving the two for the accelerations a and α with Cramer's rule.
func slowStep(x, v, theta, omega, force float64) [4]float64 {
	const M, m, l, g, dt = 1.0, 0.1, 0.5, 9.8, 0.02
	a11, a12, b1 := M+m, m*l*math.Cos(theta), force+m*l*omega*omega*math.Sin(theta)
	a21, a22, b2 := m*l*math.Cos(theta), 4*m*l*l/3, m*g*l*math.Sin(theta)
	determinant := a11*a22 - a12*a21
	a := (b1*a22 - a12*b2) / determinant
	alpha := (a11*b2 - a21*b1) / determinant
	return [4]float64{x + dt*v, v + dt*a, theta + dt*omega, omega + dt*alpha}
}

func stepFrom(state [4]float64, steps, action int) (after [4]float64, reward float64, end ending) {
	c := &cartPole{
		position: state[0], velocity: state[1], angle: state[2], angularSpeed: state[3],
		steps: steps,
	}
	reward, end = c.step(action)
	return [4]float64{c.position, c.velocity, c.angle, c.angularSpeed}, reward, end
}

func distance(a, b [4]float64) (largest float64) {
	for i := range a {
		largest = max(largest, math.Abs(a[i]-b[i]))
	}
	return largest
}

func TestStepFollowsTheEquationsOfMotion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var state [4]float64
		for i, limit := range []float64{2.4, 5, 0.2, 5} {
			state[i] = rapid.Float64Range(-limit, limit).Draw(t, "state")
		}
		action := rapid.IntRange(0, 1).Draw(t, "action")
		got, _, _ := stepFrom(state, 0, action)
		want := slowStep(state[0], state[1], state[2], state[3], []float64{-10, 10}[action])
		if d := distance(got, want); d > 1e-12 {
			t.Errorf("from %v by %d: %v, want %v, %g apart", state, action, got, want, d)
		}
	})
}

// From rest and upright, by hand: a push of 10 N turns the pole by -10/1.1 / (0.5·(4/3 - 0.1/1.1))
// = -600/41 rad/s², and moves the cart by 10/1.1 + 0.05/1.1·600/41 = 400/41 m/s².
func TestStepFromRest(t *testing.T) {
	tests := []struct {
		action int
		want   [4]float64
	}{
		{0, [4]float64{0, -8.0 / 41, 0, 12.0 / 41}},
		{1, [4]float64{0, 8.0 / 41, 0, -12.0 / 41}},
	}
	for _, test := range tests {
		got, reward, end := stepFrom([4]float64{}, 0, test.action)
		if d := distance(got, test.want); d > 1e-15 || reward != 1 || end != goesOn {
			t.Errorf("action %d: %v, reward %g, %v; want %v, 1, going on",
				test.action, got, reward, end, test.want)
		}
	}
}

func TestEndings(t *testing.T) {
	const degree = math.Pi / 180
	tests := []struct {
		name  string
		state [4]float64
		steps int // before
		want  ending
	}{
		{"in the middle", [4]float64{}, 0, goesOn},
		{"just on the track", [4]float64{2.37, 1.4, 0, 0}, 0, goesOn},
		{"off the track to the right", [4]float64{2.37, 1.6, 0, 0}, 0, terminated},
		{"off the track to the left", [4]float64{-2.37, -1.6, 0, 0}, 0, terminated},
		{"just upright", [4]float64{0, 0, 11.9 * degree, 4.9 * degree}, 0, goesOn},
		{"fallen to the right", [4]float64{0, 0, 11.9 * degree, 5.1 * degree}, 0, terminated},
		{"fallen to the left", [4]float64{0, 0, -11.9 * degree, -5.1 * degree}, 0, terminated},
		{"the last step but one", [4]float64{}, 498, goesOn},
		{"the last step", [4]float64{}, 499, truncated},
		{"fallen in the last step", [4]float64{0, 0, 0.2, 1}, 499, terminated},
	}
	for _, test := range tests {
		if _, reward, end := stepFrom(test.state, test.steps, 1); end != test.want || reward != 1 {
			t.Errorf("%s: ending %d, reward %g; want %d, 1", test.name, end, reward, test.want)
		}
	}
}

func TestEpisodesDependOnTheSeedOnly(t *testing.T) {
	play := func(seed uint64) (seen []float32) {
		c := newCartPole(stream(seed, forActing, 0, 0))
		for n := range 300 {
			seen = append(seen, make([]float32, observed)...)
			c.observe(seen[observed*n:])
			if _, end := c.step(n / 2 % 2); end != goesOn {
				c.reset()
			}
		}
		return seen
	}
	one, again, other := play(1), play(1), play(2)
	same := 0
	for i := range one {
		if one[i] != again[i] {
			t.Fatalf("number %d differs between two runs: %g, %g", i, one[i], again[i])
		}
		if one[i] == other[i] {
			same++
		}
	}
	if same > len(one)/10 {
		t.Errorf("%d of %d numbers are the same with another seed", same, len(one))
	}
}

func TestResetIsWithinItsLimits(t *testing.T) {
	c := newCartPole(stream(1, forActing, 0, 0))
	var highest [observed]float32
	for range 1000 {
		var seen [observed]float32
		c.observe(seen[:])
		for i, v := range seen {
			highest[i] = max(highest[i], v, -v)
		}
		c.step(0)
		if c.reset(); c.steps != 0 {
			t.Fatal("an episode begins after", c.steps, "steps")
		}
	}
	for i, v := range highest {
		if v > startLimit || v < 0.95*startLimit {
			t.Errorf("variable %d is up to %g at first, want up to %g", i, v, startLimit)
		}
	}
}
