package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vbauerster/mpb/v8"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) == "1" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestProgram(t *testing.T) {
	var out strings.Builder
	name := filepath.Join(t.TempDir(), "curve.svg")
	args := []string{"-steps", "4000", "-actors", "3", "-async", "-eval", "3", "-plot", name}
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"policy with 835 parameters; 3 actors, trajectories of 512 steps, 1 an update",
		"mean return  entropy [nat]",
		"not solved after 4096 steps",
		"3 episodes without exploring: mean return ",
		"parameters ",
		"curve in ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the output:\n%s", want, out.String())
		}
	}
	if _, err := os.Stat(name); err != nil {
		t.Error(err)
	}
}

func TestProgramFailsBelowTheWantedReturn(t *testing.T) {
	args := []string{"-steps", "1", "-actors", "1", "-eval", "1", "-want-return", "501"}
	err := run(t.Context(), args, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "below 501.0") {
		t.Errorf("error %v, want that the return is lower", err)
	}
}

func TestParseFlags(t *testing.T) {
	tests := []struct {
		args  []string
		error string // part of it
	}{
		{args: nil},
		{args: []string{"-seed", "7", "-async"}},
		{args: []string{"-actors", "0"}, error: "-actors"},
		{args: []string{"-actors", "1025"}, error: "-actors"},
		{args: []string{"-steps", "0"}, error: "-steps"},
		{args: []string{"-eval", "0"}, error: "-eval"},
		{args: []string{"-seed", "-1"}, error: "invalid value"},
		{args: []string{"more"}, error: `"more"`},
	}
	for _, test := range tests {
		_, err := parseFlags(test.args, io.Discard)
		switch {
		case test.error == "" && err != nil:
			t.Errorf("%q: %v", test.args, err)
		case test.error != "" && (err == nil || !strings.Contains(err.Error(), test.error)):
			t.Errorf("%q: error %v, want one with %q", test.args, err, test.error)
		}
	}
	if _, err := parseFlags([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: error %v, want flag.ErrHelp", err)
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	report, end := watch(&out, 10_000)
	report.update(progress{version: 4})
	report.update(progress{
		version: 5, steps: 10240, episodes: 293, mean: 46.04, losses: losses{entropy: 0.6271},
		took: 1234567 * time.Microsecond,
	})
	report.update(progress{version: 6, last: true})
	end()
	want := "" +
		"update     steps  episodes  mean return  entropy [nat]      time\n" +
		"     5     10240       293         46.0          0.627    1.235s\n" +
		"     6         0         0          0.0          0.000        0s\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestBarShowsTheMeanAndLeavesTheTable(t *testing.T) {
	var out strings.Builder
	refresh := make(chan any)
	b := newBar(&out, 100, mpb.WithManualRefresh(refresh))
	b.update(progress{version: 5, steps: 50, mean: 123.4})
	refresh <- time.Now()
	b.close() // not full: learning was over before
	for _, want := range []string{
		"50 / 100 steps", "mean return 123.4", "     5        50         0",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
}
