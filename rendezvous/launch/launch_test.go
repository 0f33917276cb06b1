package launch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/rendezvous/launch"
)

// output collects what the ranks print, and tells when a text has come.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
}

func newOutput() *output { return &output{grown: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await blocks until all texts have been printed.
func (o *output) await(ctx context.Context, texts ...string) bool {
	for {
		text := o.String()
		if !slices.ContainsFunc(texts, func(t string) bool { return !strings.Contains(text, t) }) {
			return true
		}
		select {
		case <-o.grown:
		case <-ctx.Done():
			return false
		}
	}
}

// program is a launch of this test binary with a behaviour.
func program(name string, ranks int, out *output) launch.Options {
	return launch.Options{
		Ranks: ranks, Command: []string{os.Args[0]}, Env: []string{behaviour + "=" + name},
		Stdout: out, Stderr: out,
	}
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func sorted(text string) []string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	slices.Sort(lines)
	return lines
}

func TestPrefixes(t *testing.T) {
	out := newOutput()
	if err := launch.Run(testContext(t), program("print", 2, out)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"[0] first", "[0] on stderr", "[0] second without end",
		"[1] first", "[1] on stderr", "[1] second without end",
	}
	if diff := cmp.Diff(want, sorted(out.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTimestampAndNoPrefix(t *testing.T) {
	for _, noPrefix := range []bool{false, true} {
		out := newOutput()
		o := program("print", 1, out)
		o.Timestamp, o.NoPrefix = true, noPrefix
		if err := launch.Run(testContext(t), o); err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3} \[0\] first$`)
		if noPrefix {
			want = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3} first$`)
		}
		if !want.MatchString(out.String()) {
			t.Errorf("no line matches %v:\n%s", want, out)
		}
	}
}

// TestLinesStayWhole lets four ranks print at once, some lines longer than any pipe or buffer.
func TestLinesStayWhole(t *testing.T) {
	out := newOutput()
	if err := launch.Run(testContext(t), program("lines", 4, out)); err != nil {
		t.Fatal(err)
	}
	var want []string
	for rank := range 4 {
		for i := range 200 {
			want = append(want, fmt.Sprintf("[%d] %d-%d-%s", rank, rank, i, strings.Repeat("x", i)))
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, sorted(out.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	out = newOutput()
	if err := launch.Run(testContext(t), program("long", 3, out)); err != nil {
		t.Fatal(err)
	}
	whole := map[string]int{}
	for line := range strings.Lines(out.String()) {
		prefix, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		rank := strings.Trim(prefix, "[]")
		if strings.Trim(rest, rank) != "" {
			t.Fatalf("a line of rank %s holds something else", rank)
		}
		whole[rank] += len(rest)
	}
	if diff := cmp.Diff(map[string]int{"0": 1 << 20, "1": 1 << 20, "2": 1 << 20}, whole); diff != "" {
		t.Errorf("bytes by rank (-want +got):\n%s", diff)
	}
}

func TestExitStatus(t *testing.T) {
	tests := []struct {
		behaviour string
		rank      int
		code      int
		signal    syscall.Signal
		status    int
	}{
		{"exit:3", 1, 3, 0, 3},
		{"kill", 0, -1, syscall.SIGKILL, 137},
	}
	for _, test := range tests {
		out := newOutput()
		err := launch.Run(testContext(t), program(test.behaviour, 3, out))
		var failed *launch.ExitError
		if !errors.As(err, &failed) {
			t.Fatalf("%s: %v, want an *ExitError", test.behaviour, err)
		}
		if failed.Rank != test.rank || failed.Code != test.code || failed.Signal != test.signal ||
			failed.ExitCode() != test.status {
			t.Errorf("%s: %+v", test.behaviour, failed)
		}
		if want := fmt.Sprintf("launch: rank %d (pid %d)", test.rank, failed.PID); !strings.HasPrefix(
			err.Error(), want) {
			t.Errorf("%s: %v does not begin with %q", test.behaviour, err, want)
		}
	}
}

// TestStubbornRank kills ranks that ignore SIGTERM, after the grace period.
func TestStubbornRank(t *testing.T) {
	out := newOutput()
	o := program("stubborn", 3, out)
	o.Grace = 50 * time.Millisecond
	err := launch.Run(testContext(t), o)
	var failed *launch.ExitError
	if !errors.As(err, &failed) || failed.Rank != 0 || failed.Code != 5 {
		t.Errorf("%v, want status 5 of rank 0\n%s", err, out)
	}
}

// TestSignals forwards what comes in; SIGTERM ends the job well, if the ranks end well.
func TestSignals(t *testing.T) {
	out, signals := newOutput(), make(chan os.Signal)
	o := program("catch", 2, out)
	o.Signals = signals
	ctx := testContext(t)
	done := make(chan error, 1)
	go func() { done <- launch.Run(ctx, o) }()
	if !out.await(ctx, "[0] ready", "[1] ready") {
		t.Fatalf("the ranks never came up:\n%s", out)
	}
	for _, s := range []syscall.Signal{
		syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT, syscall.SIGINT,
	} {
		signals <- s
		if !out.await(ctx, fmt.Sprint("[0] got ", s), fmt.Sprint("[1] got ", s)) {
			t.Fatalf("%v did not arrive:\n%s", s, out)
		}
	}
	// A second request to end is not for the ranks to decide about.
	signals <- syscall.SIGTERM
	var failed *launch.ExitError
	if err := <-done; !errors.As(err, &failed) || failed.Signal != syscall.SIGKILL {
		t.Errorf("%v, want the end by SIGKILL", err)
	}
}

func TestSignalTerm(t *testing.T) {
	out, signals := newOutput(), make(chan os.Signal)
	o := program("catch", 2, out)
	o.Signals = signals
	ctx := testContext(t)
	done := make(chan error, 1)
	go func() { done <- launch.Run(ctx, o) }()
	if !out.await(ctx, "[0] ready", "[1] ready") {
		t.Fatalf("the ranks never came up:\n%s", out)
	}
	signals <- syscall.SIGTERM
	if err := <-done; err != nil {
		t.Errorf("%v, want a good end", err)
	}
}

// TestContextEnds ends the ranks and returns the cause.
func TestContextEnds(t *testing.T) {
	out := newOutput()
	ctx, cancel := context.WithCancelCause(testContext(t))
	done := make(chan error, 1)
	go func() { done <- launch.Run(ctx, program("catch", 2, out)) }()
	if !out.await(ctx, "[0] ready", "[1] ready") {
		t.Fatalf("the ranks never came up:\n%s", out)
	}
	cause := errors.New("enough")
	cancel(cause)
	if err := <-done; !errors.Is(err, cause) {
		t.Errorf("%v, want the cause", err)
	}
	if !strings.Contains(out.String(), "[1] got terminated") {
		t.Errorf("the ranks were not asked to end:\n%s", out)
	}
}

// TestGrandchildrenEnd starts, from each rank, a process that would live on.
func TestGrandchildrenEnd(t *testing.T) {
	out := newOutput()
	err := launch.Run(testContext(t), launch.Options{
		Ranks: 2, Stdout: out, Stderr: out,
		Command: []string{"/bin/sh", "-c", "sleep 1000 & echo child $!; exit 4"},
	})
	var failed *launch.ExitError
	if !errors.As(err, &failed) || failed.Code != 4 {
		t.Fatalf("%v, want status 4", err)
	}
	children := regexp.MustCompile(`child (\d+)`).FindAllStringSubmatch(out.String(), -1)
	if len(children) == 0 {
		t.Fatalf("no rank told its child:\n%s", out)
	}
	for _, match := range children {
		var pid int
		fmt.Sscan(match[1], &pid)
		awaitDeath(t, pid)
	}
}

// awaitDeath blocks until a process that is not ours to reap is gone, or a zombie.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	ctx := testContext(t)
	for ctx.Err() == nil {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || regexp.MustCompile(`^\d+ \(.*\) Z`).Match(state) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Errorf("process %d lives on", pid)
}

// TestRanksMeet has the ranks join by what the launcher told them.
func TestRanksMeet(t *testing.T) {
	out := newOutput()
	if err := launch.Run(testContext(t), program("join", 4, out)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		"[0] met 4 from tutti", "[1] met 4 from tutti", "[2] met 4 from tutti",
		"[3] met 4 from tutti",
	}
	if diff := cmp.Diff(want, sorted(out.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEnvironment checks what the ranks are told, and that a variable of the caller gets through.
func TestEnvironment(t *testing.T) {
	t.Setenv("TUTTI_RANK", "77")
	t.Setenv("MINE", "inherited")
	out := newOutput()
	o := program("environment", 2, out)
	o.Command = append(o.Command, "TUTTI_RANK", "TUTTI_SIZE", "TUTTI_LOCAL_RANK", "TUTTI_LOCAL_SIZE",
		"TUTTI_JOB", "TUTTI_SECRET", "TUTTI_STORE", "MINE", "EXTRA")
	o.Env = append(o.Env, "EXTRA=a=b")
	o.Job, o.Secret, o.Store = "job", "s3cret", "redis://r:1/0"
	if err := launch.Run(testContext(t), o); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, rank := range []string{"0", "1"} {
		for _, line := range []string{
			"TUTTI_RANK=" + rank, "TUTTI_SIZE=2", "TUTTI_LOCAL_RANK=" + rank, "TUTTI_LOCAL_SIZE=2",
			"TUTTI_JOB=job", "TUTTI_SECRET=s3cret", "TUTTI_STORE=redis://r:1/0", "MINE=inherited",
			"EXTRA=a=b",
		} {
			want = append(want, "["+rank+"] "+line)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, sorted(out.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCannotStart(t *testing.T) {
	tests := []struct {
		command string
		status  int
	}{
		{"no-such-program-anywhere", 127},
		{"/no/such/program", 127},
		{os.TempDir(), 126},
	}
	for _, test := range tests {
		err := launch.Run(testContext(t), launch.Options{Ranks: 2, Command: []string{test.command}})
		var failed *launch.StartError
		if !errors.As(err, &failed) || failed.ExitCode() != test.status {
			t.Errorf("%s: %v, want a *StartError of status %d", test.command, err, test.status)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []launch.Options{
		{Ranks: 0, Command: []string{"x"}},
		{Ranks: launch.MaxRanks + 1, Command: []string{"x"}},
		{Ranks: 1},
		{Ranks: 1, Command: []string{"x"}, Grace: -1},
	} {
		var wrong *launch.OptionError
		if err := launch.Run(t.Context(), o); !errors.As(err, &wrong) {
			t.Errorf("%+v: %v, want an *OptionError", o, err)
		}
	}
}

// brokenWriter fails like a closed terminal.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("the terminal is gone")

// TestLostOutput lets the ranks finish, and reports that their output was lost.
func TestLostOutput(t *testing.T) {
	o := program("print", 2, nil)
	o.Stdout, o.Stderr = brokenWriter{}, brokenWriter{}
	if err := launch.Run(testContext(t), o); !errors.Is(err, errBroken) {
		t.Errorf("%v, want the error of the writer", err)
	}
}
