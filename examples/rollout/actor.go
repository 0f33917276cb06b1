package main

import "fmt"

// A snapshot is the parameters of a policy as they are sent: one vector, a header and the
// parameters.
const (
	snapshotFormat = 2
	snapshotHead   = 2 // format and version
)

func takeSnapshot(version int, params []float32) []float32 {
	return append([]float32{snapshotFormat, float32(version)}, params...)
}

// openSnapshot returns the version and the parameters, not copied, of a snapshot of so many.
func openSnapshot(snapshot []float32, parameters int) (version int, params []float32, err error) {
	want := snapshotHead + parameters
	switch {
	case len(snapshot) != want:
		return 0, nil, fmt.Errorf("snapshot: %d numbers, want %d", len(snapshot), want)
	case snapshot[0] != snapshotFormat:
		return 0, nil, fmt.Errorf("snapshot: format %g, want %d", snapshot[0], snapshotFormat)
	case !whole(snapshot[1], exactIntegers):
		return 0, nil, fmt.Errorf("snapshot: version %g", snapshot[1])
	case !finite(snapshot[snapshotHead:]):
		return 0, nil, fmt.Errorf("snapshot: version %g is not finite", snapshot[1])
	}
	return int(snapshot[1]), snapshot[snapshotHead:], nil
}

// actor plays with the parameters that it is given. What it plays depends on them, their version,
// its number and the seed alone: each trajectory begins with a fresh episode, and nothing is kept
// from one to the next. So an actor that is started again, or another in its place, repeats a lost
// trajectory bit for bit.
type actor struct {
	number  int
	seed    uint64
	horizon int
	policy  *policy
}

func newActor(r recipe, number int) *actor {
	return &actor{number, r.seed, r.horizon, newPolicy(r.hidden, 1)}
}

// collect plays horizon steps with the parameters of a snapshot.
func (a *actor) collect(snapshot []float32) (*trajectory, error) {
	version, params, err := openSnapshot(snapshot, len(a.policy.params))
	if err != nil {
		return nil, err
	}
	copy(a.policy.params, params)
	random := stream(a.seed, forActing, a.number, version)
	cart := newCartPole(random)
	t := newTrajectory(a.number, version, a.horizon)
	for step := range a.horizon {
		cart.observe(a.policy.input())
		copy(t.observations[observed*step:], a.policy.input()[:observed])
		t.values[step] = a.policy.values(1)[0]
		action, logProb := a.policy.sample(random)
		t.actions[step], t.logProbs[step] = float32(action), float32(logProb)
		reward, end := cart.step(action)
		t.rewards[step], t.ends[step] = float32(reward), float32(end)
		if t.cut(step) {
			cart.observe(a.policy.input())
			t.bootstraps[step] = a.policy.values(1)[0]
		}
		if end != goesOn {
			cart.reset()
		}
	}
	return t, nil
}
