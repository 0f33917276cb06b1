package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// curves lets cmp look into curves.
var curves = cmp.AllowUnexported(curve{}, point{})

func learnHere(t *testing.T, seed uint64, steps int, async bool) (job, outcome) {
	t.Helper()
	const actors = 4
	take := taking(actors, async)
	// The rates fall as in the run that the program makes, however short this one is.
	j := job{standard(seed, actors, take, 400_000), steps}
	out, err := j.learn(t.Context(), newLocal(j.recipe, take), silent{})
	if err != nil {
		t.Fatal(err)
	}
	return j, out
}

func TestTheSeedDeterminesTheCurve(t *testing.T) {
	for _, async := range []bool{false, true} {
		_, one := learnHere(t, 1, 5000, async)
		_, again := learnHere(t, 1, 5000, async)
		if diff := cmp.Diff(one.curve, again.curve, curves); diff != "" {
			t.Errorf("async %t: the curve differs between two runs:\n%s", async, diff)
		}
		if fingerprint(one.params) != fingerprint(again.params) {
			t.Errorf("async %t: the parameters differ between two runs", async)
		}
		_, other := learnHere(t, 2, 5000, async)
		if fingerprint(one.params) == fingerprint(other.params) {
			t.Errorf("async %t: the parameters are the same with another seed", async)
		}
	}
}

// TestALostTrajectoryIsPlayedAgain replaces each actor by a new one after each trajectory.
func TestALostTrajectoryIsPlayedAgain(t *testing.T) {
	j, want := learnHere(t, 1, 5000, false)
	crew := newLocal(j.recipe, j.actors)
	out, err := j.learn(t.Context(), &forgetful{crew, j.recipe}, silent{})
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint(out.params) != fingerprint(want.params) {
		t.Error("actors that are started again play something else")
	}
}

type forgetful struct {
	*local
	recipe recipe
}

func (f *forgetful) play(ctx context.Context, snapshot []float32) ([]*trajectory, error) {
	for i := range f.actors {
		lost := newActor(f.recipe, i)
		if _, err := lost.collect(snapshot); err != nil {
			return nil, err
		}
		f.actors[i] = newActor(f.recipe, i)
	}
	return f.local.play(ctx, snapshot)
}

// TestItLearns wants, after a short run, much more than the 22 steps that a random policy lasts.
func TestItLearns(t *testing.T) {
	random := newPolicy(standard(1, 1, 1, 1).hidden, 1)
	for _, async := range []bool{false, true} {
		j, out := learnHere(t, 1, 24_000, async)
		if before := mean(evaluate(j.recipe, random.params, 50)); before > 40 {
			t.Errorf("a policy that has learned nothing has a mean return of %.1f", before)
		}
		first, last := out.curve.means[0].mean, out.curve.mean()
		if first > 40 || last < 80 {
			t.Errorf("async %t: the mean return went from %.1f to %.1f, want below 40 and above 80",
				async, first, last)
		}
		if got := mean(evaluate(j.recipe, out.params, 50)); got < 150 {
			t.Errorf("async %t: the mean return without exploring is %.1f, want 150", async, got)
		}
	}
}

// TestItSolvesCartPole is what the program is for, with each of five seeds.
func TestItSolvesCartPole(t *testing.T) {
	if testing.Short() {
		t.Skip("solving it ten times takes a minute")
	}
	for _, async := range []bool{false, true} {
		for seed := range uint64(5) {
			j, out := learnHere(t, seed+1, 400_000, async)
			got := mean(evaluate(j.recipe, out.params, 100))
			t.Logf("async %t, seed %d: %d steps, %v, mean %.1f, evaluated %.1f; %d dropped", async,
				seed+1, out.curve.steps, out.took, out.curve.mean(), got, out.dropped)
			if !out.curve.solved() || got < solvedReturn {
				t.Errorf("async %t, seed %d: not solved", async, seed+1)
			}
		}
	}
}

// TestAllStepsCount learns from the freshest trajectories only, when half of the actors take part.
func TestAllStepsCount(t *testing.T) {
	r := smallRecipe()
	r.actors, r.maxStaleness = 4, 0
	crew := &counting{local: newLocal(r, 2)}
	out, err := job{r, 3000}.learn(t.Context(), crew, silent{})
	if err != nil {
		t.Fatal(err)
	}
	if out.dropped == 0 || out.dropped >= crew.trajectories {
		t.Errorf("%d of %d trajectories dropped", out.dropped, crew.trajectories)
	}
	if out.curve.steps != crew.trajectories*r.horizon {
		t.Errorf("%d trajectories have %d steps", crew.trajectories, out.curve.steps)
	}
}

type counting struct {
	*local
	trajectories int
}

func (c *counting) play(ctx context.Context, snapshot []float32) ([]*trajectory, error) {
	played, err := c.local.play(ctx, snapshot)
	c.trajectories += len(played)
	return played, err
}

func TestCancellingEndsLearning(t *testing.T) {
	j := job{smallRecipe(), 1000}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.learn(ctx, newLocal(j.recipe, 3), silent{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestTaking(t *testing.T) {
	for actors, want := range map[int]int{1: 1, 2: 1, 4: 2, 5: 3, 10: 6} {
		if got := taking(actors, true); got != want || taking(actors, false) != actors {
			t.Errorf("%d of %d actors are enough, want %d", got, actors, want)
		}
	}
}

func TestCurve(t *testing.T) {
	episodes := func(actor int, returns ...float32) *trajectory {
		got := newTrajectory(actor, 0, len(returns))
		for step, r := range returns {
			got.rewards[step], got.ends[step] = r, float32(terminated)
		}
		return got
	}
	var c curve
	c.add([]*trajectory{newTrajectory(0, 0, 7)}, 3)
	c.add([]*trajectory{episodes(0, 10, 20), episodes(1, 60)}, 0)
	want := curve{
		steps: 13, returns: []float64{10, 20, 60}, at: []int{12, 12, 13}, means: []point{{13, 30}},
	}
	if diff := cmp.Diff(want, c, curves); diff != "" {
		t.Errorf("curve (-want +got):\n%s", diff)
	}
	for range window - 1 {
		c.add([]*trajectory{episodes(0, 480)}, 0)
	}
	if !c.solved() { // 60 and 99 times 480
		t.Errorf("not solved with a mean of %g", c.mean())
	}
	c.add([]*trajectory{episodes(0, 0), episodes(1, 0)}, 0)
	if c.solved() {
		t.Errorf("solved with a mean of %g", c.mean())
	}
}
