package collective

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/rendezvous/launch"
)

// programVariable makes the test binary a rank of a test with real processes: it names the program
// that the rank runs. argumentVariable is the program's argument.
const (
	programVariable  = "TUTTI_TEST_PROGRAM"
	argumentVariable = "TUTTI_TEST_ARGUMENT"
)

// programs are what ranks with a process of their own run. What they return is printed for the test
// to read, as one line of JSON for each report.
var programs = map[string]func(ctx context.Context, argument string) error{
	"matrix": matrixProgram,
}

// runProgram is main of a rank.
func runProgram(name string) int {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	if err := programs[name](ctx, os.Getenv(argumentVariable)); err != nil {
		fmt.Fprintln(os.Stderr, "rank", os.Getenv("TUTTI_RANK"), "of", name, "failed:", err)
		return 1
	}
	return 0
}

// processDrivers are what ranks with processes of their own meet on.
var processDrivers = []string{"auto", "shm", "zmq:tcp", "zmq:ipc", "zmq"}

// eachProcessDriver runs a test for ranks with processes of their own, on each driver with each
// number of ranks. Drivers that choose one of the others take part with one number, as all do in
// short tests: the middle one.
func eachProcessDriver(t *testing.T, sizes []int, f func(t *testing.T, driver string, size int)) {
	t.Parallel()
	for _, driver := range processDrivers {
		if !hasDriver(driver) {
			continue
		}
		for i, size := range sizes {
			chooses := driver == "auto" || driver == "zmq"
			if (chooses || testing.Short()) && i != len(sizes)/2 {
				continue
			}
			t.Run(fmt.Sprintf("%s %d ranks", driver, size), func(t *testing.T) {
				t.Parallel()
				f(t, driver, size)
			})
		}
	}
}

// runRanks runs a program as the ranks of a job, as the command tutti does, and returns what they
// have printed. That all exit well is part of the test.
func runRanks(t *testing.T, size int, driver, program, argument string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := launch.Run(testContext(t), launch.Options{
		Ranks: size, Command: []string{os.Args[0]},
		Env: []string{
			programVariable + "=" + program, argumentVariable + "=" + argument, "TUTTI_DRIVER=" + driver,
			"TUTTI_TUNE=off",
		},
		Stdout: &stdout, Stderr: &stderr, NoPrefix: true,
	})
	if err != nil {
		t.Fatalf("%s on %d ranks over %s: %v\n%.4000s", program, size, driver, err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// reports reads the lines of JSON that the ranks have printed.
func reports[T any](t *testing.T, output []byte) (all []T) {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(output)); d.More(); {
		var r T
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%v in %q", err, output)
		}
		all = append(all, r)
	}
	return all
}

// report prints a line for the test.
func report(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

// connect joins a job named after this process's own: ranks can join one after another.
func connect(ctx context.Context, part string, opts ...Option) (*Comm, error) {
	env, err := rendezvous.FromEnvironment(nil)
	if err != nil {
		return nil, err
	}
	env.Job += "/" + part
	return Connect(ctx, append([]Option{WithEnvironment(env)}, opts...)...)
}

// outcome is how a call ended, in a form that can be printed.
type outcome struct {
	Part    string // what of the program it belongs to
	Rank    int
	Kind    string // "" for nil, else the type of the error
	Text    string
	Culprit int // who failed, gave up, or is the first of those that disagree
	Other   int // the second of those that disagree
	Calls   [2]Call
	Waiting []string
	Again   string // what the next call returned
}

// outcomeOf tells how a call ended.
func outcomeOf(part string, rank int, err error) outcome {
	o := outcome{Part: part, Rank: rank, Culprit: -1, Other: -1}
	if err == nil {
		return o
	}
	o.Text = err.Error()
	var (
		mismatch  *MismatchError
		failed    *RankFailedError
		aborted   *AbortedError
		cancelled *CancelledError
		argument  *ArgumentError
	)
	switch {
	case errors.As(err, &mismatch):
		o.Kind, o.Culprit, o.Other = "mismatch", mismatch.RankA, mismatch.RankB
		o.Calls = [2]Call{mismatch.CallA, mismatch.CallB}
	case errors.As(err, &failed):
		o.Kind, o.Culprit, o.Other = "failed", failed.Rank, failed.DetectedBy
		o.Calls[0] = failed.Call
	case errors.As(err, &aborted):
		o.Kind, o.Culprit = "aborted", aborted.Rank
		o.Calls[0] = aborted.Call
	case errors.As(err, &cancelled):
		o.Kind, o.Culprit, o.Waiting = "cancelled", cancelled.Rank, cancelled.Waiting
		o.Calls[0] = cancelled.Call
	case errors.As(err, &argument):
		o.Kind = "argument"
	case errors.Is(err, ErrClosed):
		o.Kind = "closed"
	default:
		o.Kind = fmt.Sprintf("%T", err)
	}
	return o
}

// rankOfProcess is the rank that the launcher has given this process.
func rankOfProcess() int {
	env, err := rendezvous.FromEnvironment(nil)
	if err != nil {
		return -1
	}
	return env.Rank
}
