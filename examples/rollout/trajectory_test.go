package main

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// smallRecipe is for trajectories and networks that are quick to go through.
func smallRecipe() recipe {
	r := standard(1, 3, 3, 100_000)
	r.horizon, r.hidden, r.epochs, r.minibatches = 48, []int{8}, 2, 3
	return r
}

// played is what an actor has played with the first parameters of a recipe.
func played(t testing.TB, r recipe, number int) *trajectory {
	t.Helper()
	got, err := newActor(r, number).collect(newLearner(r).snapshot())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTrajectoryTravels(t *testing.T) {
	sent := played(t, smallRecipe(), 2)
	got, err := decodeTrajectory(slices.Clone(sent.wire))
	if err != nil {
		t.Fatal(err)
	}
	if got.actor() != 2 || got.version() != 0 || got.steps() != 48 {
		t.Errorf("actor %d, version %d, %d steps", got.actor(), got.version(), got.steps())
	}
	if diff := cmp.Diff(sent, got, cmp.AllowUnexported(trajectory{})); diff != "" {
		t.Errorf("trajectory (-sent +received):\n%s", diff)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = decodeTrajectory(sent.wire) }); n > 1 {
		t.Errorf("%g allocations to decode, want that of the views alone", n)
	}
}

func TestTrajectoryIsWhatTheActorSaw(t *testing.T) {
	r := smallRecipe()
	r.horizon = 600
	got := played(t, r, 0)
	if got.cut(0) || !got.cut(599) && ending(got.ends[599]) != terminated {
		t.Error("cut where it goes on, or not where it ends")
	}
	cart, n := newCartPole(stream(r.seed, forEvaluation, 0, 0)), 0
	sum := 0.0
	for step := range got.steps() {
		sum += float64(got.rewards[step])
		seen := got.observations[observed*step:][:observed]
		cart.position, cart.velocity = float64(seen[0]), float64(seen[1])
		cart.angle, cart.angularSpeed = float64(seen[2]), float64(seen[3])
		cart.steps = 0
		_, end := cart.step(int(got.actions[step]))
		if (end == terminated) != (ending(got.ends[step]) == terminated) {
			t.Fatalf("step %d: ending %g, done again %d", step, got.ends[step], end)
		}
		if end == terminated {
			n++
			continue
		}
		if step == got.steps()-1 {
			break
		}
		var next [observed]float32
		cart.observe(next[:])
		for i, v := range got.observations[observed*(step+1):][:observed] {
			if math.Abs(float64(v-next[i])) > 1e-5 {
				t.Fatalf("step %d: then %v, want %v", step, v, next[i])
			}
		}
	}
	if n < 10 || len(got.returns()) != n {
		t.Errorf("%d episodes ended, %d returns", n, len(got.returns()))
	}
	for _, v := range got.returns() {
		sum -= v
	}
	if sum < 0 || sum > longest {
		t.Errorf("the returns leave %g of the rewards to the last episode", sum)
	}
}

// TestWhatIsCutIsEstimated lets a linear policy that keeps the pole upright play beyond the end of
// an episode, with a critic that is linear too, and so easy to compute by hand.
func TestWhatIsCutIsEstimated(t *testing.T) {
	r := smallRecipe()
	r.hidden, r.horizon = nil, longest+5
	a := newActor(r, 0)
	weights := []float32{0.5, -1, 2, 3}
	for i, w := range []float32{1, 2, 40, 10} { // push towards where it falls and moves
		a.policy.actor.layers[0].weights.Data[actions*i+1] = 10 * w
	}
	copy(a.policy.critic.layers[0].weights.Data, weights)
	got, err := a.collect(takeSnapshot(0, a.policy.params))
	if err != nil {
		t.Fatal(err)
	}
	if ending(got.ends[longest-1]) != truncated {
		t.Fatalf("the episode did not last: %v", got.returns())
	}
	for _, step := range []int{longest - 1, got.steps() - 1} {
		seen := got.observations[observed*step:][:observed]
		after, _, _ := stepFrom([4]float64{
			float64(seen[0]), float64(seen[1]), float64(seen[2]), float64(seen[3]),
		}, 0, int(got.actions[step]))
		want := 0.0
		for i, w := range weights {
			want += float64(w) * after[i]
		}
		if math.Abs(float64(got.bootstraps[step])-want) > 1e-5 {
			t.Errorf("step %d: what follows is worth %g, want %g", step, got.bootstraps[step], want)
		}
	}
}

func TestReturnsAndCuts(t *testing.T) {
	got := newTrajectory(0, 0, 5)
	copy(got.rewards, []float32{1, 2, 3, 4, 5})
	copy(got.ends, []float32{0, float32(terminated), float32(truncated), 0, 0})
	if diff := cmp.Diff([]float64{3, 3}, got.returns()); diff != "" {
		t.Errorf("returns (-want +got):\n%s", diff)
	}
	for step, want := range []bool{false, false, true, false, true} {
		if got.cut(step) != want {
			t.Errorf("step %d: cut %t", step, got.cut(step))
		}
	}
}

func TestTrajectoriesThatCannotBe(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct {
		name  string
		spoil func(t *trajectory)
		error string // part of it
	}{
		{"another format", func(t *trajectory) { t.wire[headFormat] = 9 }, "format 9"},
		{"a negative actor", func(t *trajectory) { t.wire[headActor] = -1 }, "field 1"},
		{"half a version", func(t *trajectory) { t.wire[headVersion] = 0.5 }, "field 2"},
		{"a large version", func(t *trajectory) { t.wire[headVersion] = 1 << 24 }, "field 2"},
		{"no steps", func(t *trajectory) { t.wire[headSteps] = 0 }, "0 steps"},
		{"more steps", func(t *trajectory) { t.wire[headSteps]++ }, "49 steps"},
		{"endless steps", func(t *trajectory) { t.wire[headSteps] = inf }, "+Inf steps"},
		{"steps that are none", func(t *trajectory) { t.wire[headSteps] = nan }, "NaN steps"},
		{"an observation", func(t *trajectory) { t.observations[13] = inf }, "step 3: the obs"},
		{"an action", func(t *trajectory) { t.actions[4] = actions }, "step 4: action 2"},
		{"a log-probability", func(t *trajectory) { t.logProbs[5] = 0.1 }, "step 5: log-prob"},
		{"no log-probability", func(t *trajectory) { t.logProbs[5] = -inf }, "step 5: the reward"},
		{"a reward", func(t *trajectory) { t.rewards[6] = nan }, "step 6: the reward"},
		{"a value", func(t *trajectory) { t.values[7] = nan }, "step 7: the reward"},
		{"an ending", func(t *trajectory) { t.ends[8] = 3 }, "step 8: ending 3"},
		{"a bootstrap", func(t *trajectory) { t.bootstraps[0] = 1 }, "nothing was cut"},
		{"no bootstrap", func(t *trajectory) { t.bootstraps[47] = nan }, "step 47: the reward"},
	}
	sent := played(t, smallRecipe(), 0)
	for _, test := range tests {
		spoilt := view(slices.Clone(sent.wire), sent.steps())
		test.spoil(spoilt)
		_, err := decodeTrajectory(spoilt.wire)
		if err == nil || !strings.Contains(err.Error(), test.error) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.error)
		}
	}
	for length := range len(sent.wire) {
		if _, err := decodeTrajectory(sent.wire[:length]); err == nil {
			t.Fatalf("%d numbers of %d: no error", length, len(sent.wire))
		}
	}
}

func TestSnapshots(t *testing.T) {
	sent := takeSnapshot(7, []float32{1, 2, 3})
	version, params, err := openSnapshot(sent, 3)
	if err != nil || version != 7 || !slices.Equal(params, []float32{1, 2, 3}) {
		t.Errorf("version %d, %v, error %v", version, params, err)
	}
	for field, v := range map[int]float32{0: 1, 1: -1, 4: float32(math.NaN())} {
		spoilt := slices.Clone(sent)
		spoilt[field] = v
		if _, _, err := openSnapshot(spoilt, 3); err == nil {
			t.Errorf("%g at %d: no error", v, field)
		}
	}
	for _, parameters := range []int{2, 4} {
		if _, _, err := openSnapshot(sent, parameters); err == nil {
			t.Errorf("3 parameters, not %d: no error", parameters)
		}
	}
	if _, err := newActor(smallRecipe(), 0).collect(sent); err == nil {
		t.Error("an actor plays with the parameters of another network")
	}
}

// FuzzTrajectory checks that what is decoded can be learned from, and that nothing else is
// accepted.
func FuzzTrajectory(f *testing.F) {
	r := smallRecipe()
	r.horizon = 4
	seeds := [][]float32{nil, {1, 0, 0, 1}, played(f, r, 0).wire}
	for _, wire := range seeds {
		var bytes []byte
		for _, v := range wire {
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
		}
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var wire []float32
		for ; len(bytes) >= 4; bytes = bytes[4:] {
			wire = append(wire, math.Float32frombits(binary.LittleEndian.Uint32(bytes)))
		}
		got, err := decodeTrajectory(wire)
		if err != nil {
			return
		}
		ended := len(got.returns())
		if got.steps() == 0 || ended > got.steps() || got.actor() < 0 || got.version() < 0 {
			t.Errorf("%d steps, %d returns, actor %d, version %d",
				got.steps(), ended, got.actor(), got.version())
		}
		if s := estimate(got, 0.99, 0.95); len(s.advantages) != got.steps() {
			t.Errorf("%d advantages for %d steps", len(s.advantages), got.steps())
		}
		random := newPolicy([]int{2}, 1)
		for step, action := range got.actions {
			copy(random.input(), got.observations[observed*step:][:observed])
			_ = random.logits(1).Data[int(action)]
		}
	})
}
