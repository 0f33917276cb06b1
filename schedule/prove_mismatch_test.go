package schedule

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateMismatches = flag.Bool("update-mismatches", false, "rewrite testdata/mismatch.txt")

// contender is a call that a rank may make by mistake.
type contender struct {
	name     string
	programs []*Program
}

func contenderOf(t *testing.T, a *Algorithm, size, root int) (contender, bool) {
	t.Helper()
	c := call{collective: a.Collective, size: size, root: root, pattern: 2}
	if a.Name == hierarchical {
		c.hosts = make([]int, size)
		for r := range c.hosts {
			c.hosts[r] = r / 2
		}
	}
	name := title(a)
	if a.Collective.Rooted() {
		name = fmt.Sprintf("%s root %d", name, root)
	}
	programs := build(a, c.args())
	return contender{name, programs}, programs != nil
}

// silent lists the splits in which nobody sees the mismatch: each as the set of ranks that make
// the second call. Where all ranks even finish the set is marked with an exclamation mark.
func silent(t *testing.T, a, b contender) (sets []string) {
	t.Helper()
	size := len(a.programs)
	for mask := 1; mask < 1<<size-1; mask++ {
		inB := make([]bool, size)
		set := ""
		for r := range inB {
			if inB[r] = mask>>r&1 == 1; inB[r] {
				set += fmt.Sprint(r)
			}
		}
		m, err := SimulateMismatch(a.programs, b.programs, inB)
		if err != nil {
			t.Fatal(err)
		}
		if m.Silent() {
			sets = append(sets, set)
		} else if len(m.Seen) == 0 {
			sets = append(sets, set+"!")
		}
	}
	return sets
}

// TestSilentMismatches compares with testdata/mismatch.txt the whole list of mismatches that no
// frame shows, of 4 ranks: only what a heartbeat says about each rank's call can find those.
func TestSilentMismatches(t *testing.T) {
	const size = 4
	var all []contender
	for _, a := range allAlgorithms() {
		roots(a.Collective, 2, func(root int) {
			if c, ok := contenderOf(t, a, size, root); ok {
				all = append(all, c)
			}
		})
	}
	lines := make([]string, 0, len(all))
	pairs, seen := 0, 0
	for i, a := range all {
		for _, b := range all[i+1:] {
			pairs++
			if sets := silent(t, a, b); len(sets) > 0 {
				lines = append(lines, fmt.Sprintf("%-36s | %-36s | %s",
					a.name, b.name, strings.Join(sets, " ")))
			} else {
				seen++
			}
		}
	}
	slices.Sort(lines)
	got := fmt.Sprintf("# Two calls of %d ranks, and the sets of ranks in the second one with which "+
		"no frame shows the mismatch.\n# %d of %d pairs of calls are seen whoever is in which. "+
		"Rewrite with: go test -run SilentMismatches -update-mismatches\n%s\n",
		size, seen, pairs, strings.Join(lines, "\n"))
	path := filepath.Join("testdata", "mismatch.txt")
	if *updateMismatches {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOtherArgumentsAreAlwaysSeen splits the ranks between two calls that run the same programs,
// such as all-reduces of other element types: whoever is in which, some frame shows it.
func TestOtherArgumentsAreAlwaysSeen(t *testing.T) {
	for _, a := range allAlgorithms() {
		for size := 2; size <= 7; size++ {
			roots(a.Collective, size, func(root int) {
				c, ok := contenderOf(t, a, size, root)
				if !ok {
					return
				}
				if sets := silent(t, c, c); len(sets) > 0 {
					t.Errorf("%s, %d ranks: not seen with %v in the other call", c.name, size, sets)
				}
			})
		}
	}
}

// TestOneWayCalls lists all algorithms in which ranks get no frame, so that they may have left
// before another rank finds that they called something else.
func TestOneWayCalls(t *testing.T) {
	const size, root = 8, 2
	want := map[string][]int{
		"broadcast/binomial":          {2},
		"broadcast/chain":             {2},
		"broadcast/double-tree":       {2},
		"broadcast/hierarchical":      {2},
		"broadcast/scatter-allgather": {2},
		"reduce/binomial":             {1, 3, 5, 7},
		"reduce/chain":                {1},
		"scatter/binomial":            {2},
		"scatter/linear":              {2},
		"gather/binomial":             {1, 3, 5, 7},
		"gather/linear":               {0, 1, 3, 4, 5, 6, 7},
	}
	got := map[string][]int{}
	for _, a := range allAlgorithms() {
		c, ok := contenderOf(t, a, size, root)
		if !ok {
			t.Fatalf("%s does not apply", c.name)
		}
		args := call{collective: a.Collective, size: size, root: root, pattern: 2}.args()
		proof, err := Prove(c.programs, ProveOptions{Args: args})
		if err != nil {
			t.Fatal(err)
		}
		if len(proof.EarlyLeavers) > 0 {
			got[title(a)] = proof.EarlyLeavers
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
