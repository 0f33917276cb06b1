package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tutti-ml/tutti/collective"
)

func testRecipe() recipe {
	return recipe{
		epochs: 2, batch: 50, rate: 0.1, momentum: 0.9, seed: 3, hidden: []int{20, 12}, bucketBytes: 1 << 10,
	}
}

// trainRanks trains on goroutines as ranks and returns what each came to.
func trainRanks(t *testing.T, size int, r recipe, data *dataset) (trainers []*trainer, epochs [][]epoch) {
	t.Helper()
	comms, err := collective.Local(t.Context(), size)
	if err != nil {
		t.Fatal(err)
	}
	trainers, epochs = make([]*trainer, size), make([][]epoch, size)
	var g errgroup.Group
	for rank, comm := range comms {
		g.Go(func() (err error) {
			defer func() { err = errors.Join(err, comm.Close()) }()
			trainers[rank] = newTrainer(r, data, group{comm})
			if epochs[rank], err = trainers[rank].train(t.Context(), silent{}); err != nil {
				return fmt.Errorf("rank %d: %w", rank, err)
			}
			print, err := agree(t.Context(), trainers[rank].world, trainers[rank].net.params)
			if err == nil && print != fingerprint(trainers[rank].net.params) {
				err = fmt.Errorf("rank %d: agreed on %x, which is not its own fingerprint", rank, print)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return trainers, epochs
}

func TestAnyNumberOfRanksTrainsLikeOneProcess(t *testing.T) {
	data, err := loadDigits()
	if err != nil {
		t.Fatal(err)
	}
	// 50 images do not divide evenly among 3 or 4, and the last batch of 1437 has only 37.
	few := testRecipe()
	few.epochs, few.batch = 1, 3 // with 4 ranks, one has nothing to do in each step
	few.rate = 0.01
	tests := []struct {
		recipe
		data *dataset
	}{
		{testRecipe(), data},
		{few, &dataset{train: data.heldOut, heldOut: data.heldOut}},
	}
	for _, test := range tests {
		r, data := test.recipe, test.data
		one := newTrainer(r, data, alone{})
		want, err := one.train(t.Context(), silent{})
		if err != nil {
			t.Fatal(err)
		}
		for size := 1; size <= 4; size++ {
			trainers, epochs := trainRanks(t, size, r, data)
			for rank, got := range epochs {
				if worst, at := deviation(got, want); worst > curveTolerance {
					t.Errorf("batch %d, %d ranks, rank %d: loss of epoch %d is off by %g of it",
						r.batch, size, rank, at, worst)
				}
				for i, e := range got {
					if e.accuracy != epochs[0][i].accuracy || e.loss != epochs[0][i].loss {
						t.Errorf("%d ranks: rank %d's epoch %d is %v, rank 0's %v", size, rank, i+1, e, epochs[0][i])
					}
				}
				if !slices.Equal(trainers[rank].net.params, trainers[0].net.params) {
					t.Errorf("%d ranks: rank %d has other parameters than rank 0", size, rank)
				}
			}
		}
	}
}

func TestTrainingLearns(t *testing.T) {
	data, err := loadDigits()
	if err != nil {
		t.Fatal(err)
	}
	r := testRecipe()
	r.epochs = 15
	epochs, err := newTrainer(r, data, alone{}).train(t.Context(), silent{})
	if err != nil {
		t.Fatal(err)
	}
	if last := epochs[len(epochs)-1]; last.accuracy < 0.9 || last.loss > epochs[0].loss/4 {
		t.Errorf("after %d epochs loss %.3f (first %.3f), accuracy %.3f",
			len(epochs), last.loss, epochs[0].loss, last.accuracy)
	}
}

func TestStepsOfAnEpoch(t *testing.T) {
	data, err := loadDigits()
	if err != nil {
		t.Fatal(err)
	}
	r := testRecipe()
	tr := newTrainer(r, data, alone{})
	var c counter
	if _, err := tr.train(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	if want := r.epochs * tr.steps(); c.steps != want || want != 2*29 || c.epochs != r.epochs {
		t.Errorf("%d steps and %d epochs reported, want %d and %d", c.steps, c.epochs, want, r.epochs)
	}
	for _, i := range slices.Sorted(slices.Values(tr.order)) {
		if tr.order[slices.Index(tr.order, i)] != i {
			t.Fatal("the order is not a permutation")
		}
	}
}

type counter struct{ steps, epochs int }

func (c *counter) step()            { c.steps++ }
func (c *counter) epoch(int, epoch) { c.epochs++ }

func TestAStepAllocatesNothingOfItsOwn(t *testing.T) {
	data, err := loadDigits()
	if err != nil {
		t.Fatal(err)
	}
	tr := newTrainer(testRecipe(), data, alone{})
	step := func() {
		if _, err := tr.step(t.Context(), tr.order[:50]); err != nil {
			t.Fatal(err)
		}
	}
	step()
	// gonum multiplies large matrices on several goroutines; these are small, and stay on one.
	if n := testing.AllocsPerRun(20, step); n > 1 {
		t.Errorf("%g allocations a step, want at most 1, for the callback", n)
	}
}

func TestAgreeNamesTheRankThatDiffers(t *testing.T) {
	const size = 3
	comms, err := collective.Local(t.Context(), size)
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for rank, comm := range comms {
		g.Go(func() (err error) {
			defer func() { err = errors.Join(err, comm.Close()) }()
			params := []float64{1, 2, 3}
			if rank == 2 {
				params[1] = math.Nextafter(2, 3)
			}
			_, err = agree(t.Context(), group{comm}, params)
			var differ *replicaError
			if !errors.As(err, &differ) || !strings.Contains(err.Error(), "rank 2 ended with parameters") {
				return fmt.Errorf("rank %d: error %w, want one that names rank 2", rank, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

func TestFingerprintSeesEveryBit(t *testing.T) {
	zero := fingerprint([]float64{0, 1})
	for name, other := range map[string][]float64{
		"sign of zero": {math.Copysign(0, -1), 1},
		"one ulp":      {0, math.Nextafter(1, 2)},
		"order":        {1, 0},
		"length":       {0, 1, 0},
	} {
		if fingerprint(other) == zero {
			t.Errorf("%s makes no difference", name)
		}
	}
}

func TestDeviation(t *testing.T) {
	losses := func(values ...float64) (epochs []epoch) {
		for _, v := range values {
			epochs = append(epochs, epoch{loss: v, took: time.Second})
		}
		return epochs
	}
	tests := []struct {
		name      string
		many, one []epoch
		want      float64
		at        int
	}{
		{"none", nil, nil, 0, 0},
		{"the same", losses(1, 0.5, 0), losses(1, 0.5, 0), 0, 0},
		{"relative", losses(1.25, 0.5), losses(1, 0.25), 1, 2},
		{"from zero", losses(1, 1), losses(1, 0), math.Inf(1), 2},
		{"no number", losses(math.NaN()), losses(1), math.Inf(1), 1},
		{"both no number", losses(math.NaN()), losses(math.NaN()), math.Inf(1), 1},
		{"shorter", losses(1), losses(1, 2), math.Inf(1), 2},
	}
	for _, test := range tests {
		if got, at := deviation(test.many, test.one); got != test.want || at != test.at {
			t.Errorf("%s: %g in epoch %d, want %g in %d", test.name, got, at, test.want, test.at)
		}
	}
}
