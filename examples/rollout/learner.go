package main

import (
	"cmp"
	"fmt"
	"slices"
)

// recipe is what determines the outcome of learning. It is the same in all processes.
type recipe struct {
	seed    uint64
	actors  int
	horizon int   // steps of a trajectory; more than the longest episode has
	hidden  []int // widths of the hidden layers

	gamma, lambda float64 // discount of the future, and of errors in advantages
	epochs        int     // passes over the trajectories of an update
	minibatches   int     // in each pass

	rate          float64 // of Adam; it falls linearly over the updates
	clip          float64 // of the ratio of probabilities; falls likewise
	floor         float64 // the share of the two that is left at the end
	updates       int     // over which they fall
	entropyWeight float64
	valueWeight   float64
	valueClip     float64 // 0 for none
	maxNorm       float64 // of a gradient

	maxStaleness int // a trajectory of parameters older by more versions is dropped
}

// standard is the recipe for a number of actors of which so many take part in each update, to learn
// within steps of the environments. The numbers are PPO's usual ones, but for a smaller network and
// a higher rate, which are enough for this problem.
func standard(seed uint64, actors, taking, steps int) recipe {
	const horizon = longest + 12
	return recipe{
		seed: seed, actors: actors, horizon: horizon, hidden: []int{64},
		gamma: 0.99, lambda: 0.95, epochs: 10, minibatches: 8,
		rate: 1e-3, clip: 0.2, floor: 0.1, updates: max(steps/(taking*horizon), 1),
		entropyWeight: 0.01, valueWeight: 0.5, maxNorm: 0.5,
		maxStaleness: 4,
	}
}

// learner improves a policy by what actors have seen. Its version counts its updates.
type learner struct {
	recipe
	policy    *policy
	version   int
	optimiser *adam
	batch     batch
}

// newLearner begins at version 0, with the parameters that the seed determines.
func newLearner(r recipe) *learner {
	rows := r.actors * ((r.horizon + r.minibatches - 1) / r.minibatches)
	l := &learner{recipe: r, policy: newPolicy(r.hidden, rows)}
	l.policy.initialise(stream(r.seed, forParameters, 0, 0))
	l.optimiser = newAdam(len(l.policy.params))
	return l
}

// snapshot copies the parameters for the actors.
func (l *learner) snapshot() []float32 { return takeSnapshot(l.version, l.policy.params) }

// update is what came of learning from some trajectories.
type update struct {
	losses
	used    []*trajectory // in order of their actors
	dropped int           // because they were too stale
}

// learn makes the next version of the policy from trajectories, at most one an actor, in any order:
// the outcome does not depend on it. Those that are too stale are dropped, and if none is left,
// nothing changes. Between computing each gradient and applying it, learn calls reduce, if that is
// not nil: it may replace the gradient by the mean over several learners, which must all learn from
// as many trajectories then. An error of reduce leaves the policy part of the way to its next
// version.
func (l *learner) learn(
	all []*trajectory, reduce func(grad []float32) error,
) (u update, err error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *trajectory) int { return cmp.Compare(a.actor(), b.actor()) })
	last := -1
	for _, t := range all {
		if err := l.check(t); err != nil {
			return u, err
		}
		if t.actor() == last {
			return u, fmt.Errorf("actor %d has two trajectories", last)
		}
		last = t.actor()
		if t.version() >= l.version-l.maxStaleness {
			u.used = append(u.used, t)
		}
	}
	u.dropped = len(all) - len(u.used)
	if len(u.used) == 0 {
		return u, nil
	}
	var ready []samples
	for _, t := range u.used {
		s := estimate(t, l.gamma, l.lambda)
		normalise(s.advantages)
		ready = append(ready, s)
	}
	for epoch := range l.epochs {
		if err := l.pass(ready, epoch, &u.losses, reduce); err != nil {
			return u, fmt.Errorf("version %d, epoch %d: %w", l.version, epoch, err)
		}
	}
	l.version++
	return u, nil
}

// check tells whether a trajectory, well-formed by itself, is one of this job.
func (l *learner) check(t *trajectory) error {
	switch {
	case t.actor() >= l.actors:
		return fmt.Errorf("a trajectory of actor %d, of %d actors", t.actor(), l.actors)
	case t.version() > l.version:
		return fmt.Errorf("actor %d played with version %d, the learner has version %d",
			t.actor(), t.version(), l.version)
	case t.steps() != l.horizon:
		return fmt.Errorf("actor %d played %d steps, not %d", t.actor(), t.steps(), l.horizon)
	}
	return nil
}

// pass takes a step for each minibatch. One has an equal share of each trajectory, in an order
// drawn for that trajectory by itself: so learners with a trajectory each whose gradients are
// averaged take the same steps, but for rounding, as one learner that has all.
func (l *learner) pass(
	ready []samples, epoch int, sum *losses, reduce func(grad []float32) error,
) error {
	orders := make([][]int, len(ready))
	for i, s := range ready {
		random := stream(l.seed, forShuffling, s.actor(), s.version()*l.epochs+epoch)
		orders[i] = random.Perm(s.steps())
	}
	for part := range l.minibatches {
		l.batch.clear()
		for i, s := range ready {
			n := s.steps()
			for _, step := range orders[i][part*n/l.minibatches : (part+1)*n/l.minibatches] {
				l.batch.add(s, step)
			}
		}
		grad, now := l.gradient(&l.batch)
		if reduce != nil {
			if err := reduce(grad); err != nil {
				return err
			}
		}
		l.apply(grad)
		sum.add(now, 1/float64(l.epochs*l.minibatches))
	}
	return nil
}

// gradient is that of the loss of a batch at the present parameters. It stays valid until the next
// call.
func (l *learner) gradient(b *batch) (grad []float32, now losses) {
	now = lossGradient(l.policy, b, &l.recipe, l.clip*l.left())
	return l.policy.grad, now
}

// apply takes a step along a gradient, which it may scale.
func (l *learner) apply(grad []float32) {
	shorten(grad, l.maxNorm)
	l.optimiser.apply(l.policy.params, grad, l.rate*l.left())
}

// left is the share of the rate and of the clip that is left at this version.
func (l *learner) left() float64 {
	return max(1-(1-l.floor)*float64(l.version)/float64(l.updates), l.floor)
}
