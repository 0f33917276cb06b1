package schedule

import (
	"errors"
	"testing"

	"github.com/tutti-ml/tutti/topology"
)

// mostRoundings is what the documentation of package collective says of a contribution's way to the
// result.
func mostRoundings(a *Algorithm, size int) int {
	switch l := topology.CeilLog2(size); {
	case size == 1:
		return 0
	case a.Name == ring || a.Name == chain || a.Name == hierarchical:
		return size
	default:
		return l + 2
	}
}

// TestEveryAlgorithmRounded proves that rounding messages leaves all ranks with the same values, and
// canonical algorithms with the same as each other, for every size to 33, and counts the roundings.
func TestEveryAlgorithmRounded(t *testing.T) {
	largest := 33
	if testing.Short() {
		largest = 17
	}
	for _, a := range allAlgorithms() {
		if !a.Collective.Reduces() {
			continue
		}
		t.Run(title(a), func(t *testing.T) {
			t.Parallel()
			most, at := 0, 0
			for _, c := range everyCall(a, largest) {
				args := c.args()
				programs := build(a, args)
				if programs == nil {
					continue
				}
				o := ProveOptions{Args: args, Rounded: true}
				proof, err := Prove(programs, o)
				if o.Canonical = a.Canonical; err == nil && o.Canonical {
					_, err = Prove(programs, o)
				}
				if err != nil {
					t.Fatalf("%s\n%v", c, err)
				}
				if proof.Roundings > mostRoundings(a, c.size) {
					t.Fatalf("%s: %d roundings of a contribution, want at most %d",
						c, proof.Roundings, mostRoundings(a, c.size))
				}
				if proof.Roundings > most {
					most, at = proof.Roundings, c.size
				}
			}
			t.Logf("at most %d roundings, on %d ranks", most, at)
		})
	}
}

// TestRoundedNeedsMirrored shows that Mirrored is needed where it stands, and that the prover sees it.
func TestRoundedNeedsMirrored(t *testing.T) {
	found := 0
	for _, a := range allAlgorithms() {
		for _, inPlace := range []bool{false, true} {
			c := call{collective: a.Collective, size: 4, inPlace: inPlace}
			args := c.args()
			programs := build(a, args)
			if programs == nil {
				continue
			}
			for i := range programs[1].Steps {
				s := &programs[1].Steps[i]
				if !s.Mirrored {
					continue
				}
				found++
				s.Mirrored = false
				_, err := Prove(programs, ProveOptions{Args: args, Rounded: true})
				var proof *ProofError
				if !errors.As(err, &proof) || proof.Check != PropertyOrder {
					t.Errorf("%s: step %d of rank 1 without Mirrored: %v", title(a), i, err)
				}
				s.Mirrored = true
			}
		}
	}
	if found == 0 {
		t.Error("no step is Mirrored")
	}
}
