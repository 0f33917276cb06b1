package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/rendezvous/launch"
)

// asProgram makes the test binary be the program: the ranks that TestProgram starts are such.
const asProgram = "TUTTI_TEST_AS_TRAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func startRanks(t *testing.T, ranks int, args ...string) (output string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err = launch.Run(t.Context(), launch.Options{
		Ranks:   ranks,
		Command: append([]string{self}, args...),
		Env:     []string{asProgram + "=1", "TUTTI_TUNE=off"},
		Stdout:  &stdout,
		Stderr:  &stderr,
	})
	return stdout.String() + stderr.String(), err
}

func TestProgramOnTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	output, err := startRanks(t, 2,
		"-epochs", "3", "-compare", "-want-accuracy", "0.8", "-plot", filepath.Join(dir, "new", "curves.png"))
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, want := range []string{
		"[0] 1437 handwritten digits to learn from, 360 held out",
		"[0]     3 ",
		"on 2 ranks, bit for bit",
		"one process alone has the same losses",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("no %q in the output:\n%s", want, output)
		}
	}
	if strings.Contains(output, "[1]") {
		t.Errorf("rank 1 wrote something:\n%s", output)
	}
	for _, file := range []string{"curves.png", "curves.svg"} {
		if _, err := os.Stat(filepath.Join(dir, "new", file)); err != nil {
			t.Error(err)
		}
	}
}

// Gradients in half the bytes: the parameters still agree, and the accuracy stays.
func TestProgramWithNarrowGradients(t *testing.T) {
	for _, wire := range []string{"f32", "bf16", "f16"} {
		output, err := startRanks(t, 3, "-epochs", "3", "-wire", wire, "-want-accuracy", "0.8")
		if err != nil {
			t.Fatalf("%s: %v\n%s", wire, err, output)
		}
		for _, want := range []string{"on 3 ranks, bit for bit", "gradients: 17226 of " + wire} {
			if !strings.Contains(output, want) {
				t.Errorf("%s: no %q in the output:\n%s", wire, want, output)
			}
		}
	}
}

func TestProgramFailsBelowTheWantedAccuracy(t *testing.T) {
	output, err := startRanks(t, 2, "-epochs", "1", "-want-accuracy", "1.01")
	var exit *launch.ExitError
	if !errors.As(err, &exit) || exit.Rank != 0 || exit.Code != 1 {
		t.Fatalf("launch.Run = %v, want rank 0 to exit with status 1\n%s", err, output)
	}
	if want := "below 101.00 %"; !strings.Contains(output, want) {
		t.Errorf("no %q in the output:\n%s", want, output)
	}
}

func TestParseFlags(t *testing.T) {
	tests := []struct {
		args  []string
		error string // part of it
	}{
		{args: nil},
		{args: []string{"-hidden", ""}},
		{args: []string{"-hidden", "1, 65536"}},
		{args: []string{"-hidden", "1,,2"}, error: "-hidden"},
		{args: []string{"-hidden", "0"}, error: "-hidden"},
		{args: []string{"-hidden", "65537"}, error: "-hidden"},
		{args: []string{"-epochs", "0"}, error: "-epochs"},
		{args: []string{"-batch", "-1"}, error: "-batch"},
		{args: []string{"-bucket", "0"}, error: "-bucket"},
		{args: []string{"-bucket", "1048577"}, error: "-bucket"},
		{args: []string{"-lr", "fast"}, error: "invalid value"},
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
	o, err := parseFlags([]string{"-hidden", "5, 6", "-bucket", "2"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{5, 6, 2048}, append(o.hidden, o.bucketBytes)); diff != "" {
		t.Errorf("hidden and bucket (-want +got):\n%s", diff)
	}
	if _, err := parseFlags([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: error %v, want flag.ErrHelp", err)
	}
}

func TestRunRefusesABatchOfMoreThanThereIs(t *testing.T) {
	err := run(t.Context(), []string{"-batch", "1438"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-batch 1438") {
		t.Errorf("error %v, want one that names the flag", err)
	}
}

func TestJudgeReportsDifferentCurves(t *testing.T) {
	data, err := loadDigits()
	if err != nil {
		t.Fatal(err)
	}
	o := options{recipe: testRecipe(), compare: true}
	alone, err := newTrainer(o.recipe, data, alone{}).train(t.Context(), silent{})
	if err != nil {
		t.Fatal(err)
	}
	out := outcome{size: 3, epochs: alone}
	if err := judge(t.Context(), o, data, out, io.Discard); err != nil {
		t.Errorf("the same curves: %v", err)
	}
	out.epochs[1].loss *= 1 + 2*curveTolerance
	err = judge(t.Context(), o, data, out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "loss of epoch 2 differs") {
		t.Errorf("different curves: error %v", err)
	}
}
