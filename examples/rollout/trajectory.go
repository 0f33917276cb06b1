package main

import (
	"errors"
	"fmt"
	"math"
)

// A trajectory is written as one vector of float32: a header of these fields, then the columns.
const (
	headFormat  = iota
	headActor   // whose
	headVersion // of the parameters that acted
	headSteps
	headLength
)

const (
	trajectoryFormat = 1
	columns          = observed + 6 // numbers a step
	maxSteps         = 1 << 20      // of a trajectory
	exactIntegers    = 1 << 24      // below it, a float32 holds each
)

// trajectory is what one actor has seen and done, a number of steps from the start of an episode
// on, over as many episodes as there was room for. Its columns are views of one vector, which is
// also how it travels.
type trajectory struct {
	wire []float32

	observations []float32 // observed numbers a step
	actions      []float32 // whole numbers
	logProbs     []float32 // of the actions, by the policy that chose them
	rewards      []float32
	values       []float32 // of the observations, by that policy's critic
	ends         []float32 // an ending, for each step
	bootstraps   []float32 // values of what follows, at the steps where that is cut off; else 0
}

// newTrajectory makes one with everything zero; the numbers must be ones that the header can hold.
func newTrajectory(actor, version, steps int) *trajectory {
	wire := make([]float32, headLength+columns*steps)
	wire[headFormat], wire[headActor] = trajectoryFormat, float32(actor)
	wire[headVersion], wire[headSteps] = float32(version), float32(steps)
	return view(wire, steps)
}

func view(wire []float32, steps int) *trajectory {
	t := &trajectory{wire: wire}
	rest := wire[headLength:]
	t.observations, rest = rest[:observed*steps], rest[observed*steps:]
	for _, column := range []*[]float32{
		&t.actions, &t.logProbs, &t.rewards, &t.values, &t.ends, &t.bootstraps,
	} {
		*column, rest = rest[:steps], rest[steps:]
	}
	return t
}

func (t *trajectory) actor() int   { return int(t.wire[headActor]) }
func (t *trajectory) version() int { return int(t.wire[headVersion]) }
func (t *trajectory) steps() int   { return len(t.rewards) }

// cut tells whether what follows a step is unknown although the episode has not come to its end.
func (t *trajectory) cut(step int) bool {
	return ending(t.ends[step]) == truncated ||
		step == t.steps()-1 && ending(t.ends[step]) == goesOn
}

// returns are those of the episodes that have ended, in their order.
func (t *trajectory) returns() (ended []float64) {
	sum := 0.0
	for step, reward := range t.rewards {
		sum += float64(reward)
		if ending(t.ends[step]) != goesOn {
			ended = append(ended, sum)
			sum = 0
		}
	}
	return ended
}

// decodeTrajectory reads one that another process has written, without copying it. Anything that
// learning could not digest is an error.
func decodeTrajectory(wire []float32) (*trajectory, error) {
	if len(wire) < headLength {
		return nil, fmt.Errorf("trajectory: %d numbers are less than a header", len(wire))
	}
	if wire[headFormat] != trajectoryFormat {
		return nil, fmt.Errorf("trajectory: format %g, want %d", wire[headFormat], trajectoryFormat)
	}
	for _, field := range []int{headActor, headVersion} {
		if !whole(wire[field], exactIntegers) {
			return nil, fmt.Errorf("trajectory: field %d of the header is %g", field, wire[field])
		}
	}
	steps := wire[headSteps]
	if !whole(steps, maxSteps+1) || steps == 0 || len(wire) != headLength+columns*int(steps) {
		return nil, fmt.Errorf("trajectory: %d numbers for %g steps", len(wire), steps)
	}
	t := view(wire, int(steps))
	for step := range t.steps() {
		if err := t.check(step); err != nil {
			return nil, fmt.Errorf("trajectory of actor %d: step %d: %w", t.actor(), step, err)
		}
	}
	return t, nil
}

func (t *trajectory) check(step int) error {
	if !finite(t.observations[observed*step:][:observed]) {
		return errors.New("the observation is not finite")
	}
	if !finite([]float32{t.rewards[step], t.values[step], t.bootstraps[step], t.logProbs[step]}) {
		return errors.New("the reward, value or log-probability is not finite")
	}
	switch {
	case !whole(t.actions[step], actions):
		return fmt.Errorf("action %g", t.actions[step])
	case t.logProbs[step] > 0:
		return fmt.Errorf("log-probability %g", t.logProbs[step])
	case !whole(t.ends[step], float32(truncated)+1):
		return fmt.Errorf("ending %g", t.ends[step])
	case t.bootstraps[step] != 0 && !t.cut(step):
		return errors.New("a value of what follows where nothing was cut")
	}
	return nil
}

// whole tells whether v is a whole number from 0 up to, not including, end.
func whole(v, end float32) bool { return v >= 0 && v < end && v == float32(int(v)) }

// finite tells whether no value is infinite or not a number.
func finite(values []float32) bool {
	for _, v := range values {
		if math.IsInf(float64(v), 0) || math.IsNaN(float64(v)) {
			return false
		}
	}
	return true
}
