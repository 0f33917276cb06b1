package main

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

func playedByAll(t *testing.T, r recipe) (all []*trajectory) {
	for number := range r.actors {
		all = append(all, played(t, r, number))
	}
	return all
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	r := smallRecipe()
	all := playedByAll(t, r)
	want := uint64(0)
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}, {1, 2, 0}} {
		l := newLearner(r)
		before := fingerprint(l.policy.params)
		u, err := l.learn([]*trajectory{all[order[0]], all[order[1]], all[order[2]]}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(u.used, all) || l.version != 1 {
			t.Errorf("order %v: used %v, version %d", order, u.used, l.version)
		}
		got := fingerprint(l.policy.params)
		if want == 0 {
			want = got
		}
		if got != want || got == before {
			t.Errorf("order %v: parameters %016x, first %016x, before %016x",
				order, got, want, before)
		}
	}
}

// TestLearnersTogetherAreAsOneAlone gives each of three learners one trajectory and averages their
// gradients, in another order than one learner adds them up.
func TestLearnersTogetherAreAsOneAlone(t *testing.T) {
	r := smallRecipe()
	all := playedByAll(t, r)
	one := newLearner(r)
	if _, err := one.learn(all, nil); err != nil {
		t.Fatal(err)
	}
	grads := make(chan []float32)
	means := make(chan []float32)
	go func() {
		for range r.epochs * r.minibatches {
			sum := make([]float32, len(one.policy.params))
			for range r.actors {
				for i, g := range <-grads {
					sum[i] += g / float32(r.actors)
				}
			}
			for range r.actors {
				means <- sum
			}
		}
	}()
	together := make([]*learner, r.actors)
	var wait sync.WaitGroup
	for i := range together {
		together[i] = newLearner(r)
		wait.Go(func() {
			_, err := together[i].learn(all[i:i+1], func(grad []float32) error {
				grads <- slices.Clone(grad)
				copy(grad, <-means)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i, l := range together {
		if fingerprint(l.policy.params) != fingerprint(together[0].policy.params) {
			t.Errorf("learners 0 and %d have different parameters", i)
		}
		for k, v := range l.policy.params {
			if d := math.Abs(float64(v - one.policy.params[k])); d > 1e-4 {
				t.Fatalf("learner %d: parameter %d is %g, with one learner %g",
					i, k, v, one.policy.params[k])
			}
		}
	}
}

func TestStaleTrajectoriesAreDropped(t *testing.T) {
	r := smallRecipe()
	l := newLearner(r)
	l.version = r.maxStaleness + 1
	old, fresh := played(t, r, 0), played(t, r, 1)
	fresh.wire[headVersion] = 1
	u, err := l.learn([]*trajectory{fresh, old}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(u.used, []*trajectory{fresh}) || u.dropped != 1 {
		t.Errorf("used %v, dropped %d", u.used, u.dropped)
	}
	before, version := fingerprint(l.policy.params), l.version
	u, err = l.learn([]*trajectory{old}, nil)
	if err != nil || u.dropped != 1 || len(u.used) != 0 {
		t.Errorf("used %v, dropped %d, error %v", u.used, u.dropped, err)
	}
	if fingerprint(l.policy.params) != before || l.version != version {
		t.Error("learned from nothing")
	}
}

func TestTrajectoriesOfAnotherJob(t *testing.T) {
	r := smallRecipe()
	good := played(t, r, 1)
	long, large := r, r
	long.horizon++
	large.actors++
	future := played(t, r, 0)
	future.wire[headVersion] = 1
	tests := []struct {
		other *trajectory
		error string
	}{
		{played(t, long, 0), "49 steps, not 48"},
		{played(t, large, 3), "actor 3, of 3"},
		{future, "version 1, the learner has version 0"},
		{good, "two trajectories"},
	}
	for _, test := range tests {
		l := newLearner(r)
		before := fingerprint(l.policy.params)
		_, err := l.learn([]*trajectory{good, test.other}, nil)
		if err == nil || !strings.Contains(err.Error(), test.error) {
			t.Errorf("error %v, want one with %q", err, test.error)
		}
		if fingerprint(l.policy.params) != before || l.version != 0 {
			t.Errorf("%s: learned all the same", test.error)
		}
	}
}

func TestAnErrorOfReduceEndsLearning(t *testing.T) {
	r := smallRecipe()
	broken := errors.New("the link is broken")
	_, err := newLearner(r).learn(playedByAll(t, r), func([]float32) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want the one of reduce", err)
	}
}

// TestMinibatchesAreDrawnAnew keeps the parameters as they are: then the gradients of an epoch have
// the same mean in each, the whole batch's, but are of other samples.
func TestMinibatchesAreDrawnAnew(t *testing.T) {
	r := smallRecipe()
	r.rate = 0
	l := newLearner(r)
	var grads [][]float32
	_, err := l.learn(playedByAll(t, r), func(grad []float32) error {
		grads = append(grads, slices.Clone(grad))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(grads) != r.epochs*r.minibatches {
		t.Fatalf("%d gradients", len(grads))
	}
	different := 0
	for i := range grads[0] {
		sums := make([]float64, r.epochs)
		for k, grad := range grads {
			sums[k/r.minibatches] += float64(grad[i])
		}
		if math.Abs(sums[0]-sums[1]) > 1e-4*(1+math.Abs(sums[0])) {
			t.Errorf("parameter %d: the gradients of the epochs add up to %v", i, sums)
		}
		if math.Abs(float64(grads[0][i]-grads[r.minibatches][i])) > 1e-3 {
			different++
		}
	}
	if different < 10 {
		t.Error("both epochs begin with the same samples")
	}
}

func TestRatesFall(t *testing.T) {
	l := &learner{recipe: recipe{updates: 10, floor: 0.2}}
	for version, want := range map[int]float64{0: 1, 5: 0.6, 10: 0.2, 50: 0.2} {
		l.version = version
		if got := l.left(); math.Abs(got-want) > 1e-12 {
			t.Errorf("at version %d: %g of the rate, want %g", version, got, want)
		}
	}
}
