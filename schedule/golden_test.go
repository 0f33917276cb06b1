package schedule_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tutti-ml/tutti/schedule"
)

var update = flag.Bool("update", false, "rewrite the listings in testdata")

const listings = "testdata/listings"

// TestListings compares the programs of all ranks with listings that have been looked through. To
// accept a change, run the test with -update and read the difference.
func TestListings(t *testing.T) {
	files := map[string]bool{}
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		for _, size := range []int{4, 5} {
			s := setting{
				collective: a.Collective, size: size, root: 1, count: 2 * size,
				hosts: []int{0, 0, 1, 1, 1}[:size],
			}
			if a.Collective == schedule.AllToAll {
				s.count = 2
			}
			for r := range size {
				s.counts = append(s.counts, r+1)
			}
			if a.Applies != nil && a.Applies(s.args()[0]) != nil {
				continue
			}
			var b strings.Builder
			for _, args := range s.args() {
				fmt.Fprintln(&b, a.Build(args))
			}
			name := fmt.Sprintf("%s_%s_%d.txt", a.Collective, a.Name, size)
			files[name] = true
			path := filepath.Join(listings, name)
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v (run with -update to write it)", err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	})
	// Listings of algorithms that are gone would mislead.
	there, err := filepath.Glob(filepath.Join(listings, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if !files[filepath.Base(path)] {
			t.Errorf("%s belongs to no algorithm", path)
		}
	}
}

// TestStringOfOddPrograms lists what no builder makes; a person who debugs one wants to see it.
func TestStringOfOddPrograms(t *testing.T) {
	p := &schedule.Program{
		Collective: schedule.Reduce, Algorithm: "odd", Rank: 1, Size: 3, Root: 2, InPlace: true,
		Layouts: [schedule.Buffers]schedule.Layout{schedule.In: {0, 1, 2}},
		Steps: []schedule.Step{
			{
				Kind: schedule.Send, Peer: 2, Group: 10,
				A: schedule.Span{Buf: schedule.In, Block: 1, N: 2},
			},
			{Kind: schedule.Recv, Peer: 0, Dst: schedule.Span{Buf: 9, Block: 4, N: 1}},
			{
				Kind: schedule.LocalReduce, Left: true, Last: true,
				A: schedule.Span{N: 1}, B: schedule.Span{Block: 1, N: 1},
			},
			{Kind: 77},
		},
	}
	want := strings.Join([]string{
		"reduce odd, rank 1 of 3, root 2, in place",
		"  in      at [0 1 2]",
		"    0  group 10  send in[1:2 0:1] to 2",
		"    1  group 0   buffer(9)[4:5] = recv from 0",
		"    2  group 0   in[] = in[1:2] op in[0:1], complete",
		"    3  group 0   kind(77)",
		"",
	}, "\n")
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
