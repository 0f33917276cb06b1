package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain makes this binary serve as bench, too: it prints what stands in a variable, with the
// driver and the ranks that it was asked for.
func TestMain(m *testing.M) {
	if line := os.Getenv("PREDICT_TEST_LINE"); line != "" {
		if os.Getenv("TUTTI_TUNE") != "fresh" || os.Getenv("TUTTI_TUNE_CACHE") == "" {
			fmt.Fprintln(os.Stderr, "links are not measured anew")
			os.Exit(3)
		}
		fmt.Printf(line+"\n", os.Args[4], os.Args[6])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func sweepOf(t *testing.T, line string, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PREDICT_TEST_LINE", line)
	t.Setenv("TUTTI_TUNE", "")
	var out strings.Builder
	err = run(context.Background(), append([]string{"-bench", self}, args...), &out, &out)
	return out.String(), err
}

func TestSweep(t *testing.T) {
	const line = `{"driver":%q,"np":%s,"op":"reduce","bytes":8,"algo":"chain","predicted_us":30,"measured_us":20}`
	out, err := sweepOf(t, line, "-np", "2,3", "-drivers", "shm", "-rounds", "2")
	if err != nil || !strings.Contains(out, "2 of 2 (100 %)") || strings.Contains(out, "far off") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = sweepOf(t, strings.Replace(line, "30", "50", 1), "-np", "2", "-drivers", "a,b", "-rounds", "2")
	if err != nil || !strings.Contains(out, "0 of 2 (0 %)") ||
		!strings.Contains(out, "far off in every round") || !strings.Contains(out, "b reduce, chain") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSweepFails(t *testing.T) {
	for line, want := range map[string]string{
		"no JSON %s %s": "a line of bench's",
		`{"driver":%q,"np":%s,"op":"reduce","predicted_us":3}`: "measured 0",
		" %.0s%.0s": "printed nothing",
	} {
		if out, err := sweepOf(t, line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	for _, args := range [][]string{{"-rounds", "0"}, {"-np", "1"}, {"-np", "x"}} {
		if _, err := sweepOf(t, "%s %s", args...); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// TestMedianCounts: a point that is far off once is near on the whole, and not lastingly off.
func TestMedianCounts(t *testing.T) {
	s := sweep{}
	for _, predicted := range []float64{1, 90, 1.5} {
		s.add([]result{{point{"shm", 2, "reduce", 8}, "chain", predicted, 1}})
	}
	var out strings.Builder
	if err := s.print(&out, 3); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "1 of 1 (100 %)") || strings.Contains(got, "far off") {
		t.Error(got)
	}
	if err := s.print(failing{}, 3); err == nil {
		t.Error("what cannot be written is not told")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }
