package launch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// DefaultGrace is how long ranks may take to end after SIGTERM before they are killed.
const DefaultGrace = 10 * time.Second

// MaxRanks bounds how many processes Run starts: each takes a thread and a few file descriptors.
const MaxRanks = 1 << 12

// Options say what to run and how.
type Options struct {
	// Ranks is the number of processes, at least 1.
	Ranks int
	// Command is the program and its arguments; the program is looked up in PATH.
	Command []string
	// Env holds additional variables, K=V, for all ranks. They overrule the launcher's own
	// environment, which the ranks inherit, but not the variables that Run sets.
	Env []string
	// Store is a store that runs already; "" serves an embedded one on loopback.
	Store string
	// Secret and Job are made up where they are empty.
	Secret, Job string
	// Stdout and Stderr receive the ranks' output; nil means the launcher's own. They are written to
	// from several goroutines, one whole line at a time, never concurrently.
	Stdout, Stderr io.Writer
	// NoPrefix leaves the lines as they are. Where the writers are files, the ranks write to them
	// directly, and output of several ranks may mix within a line.
	NoPrefix bool
	// Timestamp puts the time before each line's prefix.
	Timestamp bool
	// Grace is the time between SIGTERM and SIGKILL; 0 means DefaultGrace.
	Grace time.Duration
	// Signals are forwarded to all ranks. After the first SIGINT or SIGTERM the ranks have Grace to
	// end; a second one kills them.
	Signals <-chan os.Signal
	// Logger receives what happens to the ranks; nil discards it.
	Logger *slog.Logger
}

// ExitError reports the rank that failed first.
type ExitError struct {
	Rank   int
	PID    int
	Code   int            // exit status; -1 when a signal ended the rank
	Signal syscall.Signal // 0 when the rank exited by itself
	After  time.Duration  // since the start
}

// Error says which rank failed, how and when.
func (e *ExitError) Error() string {
	how := fmt.Sprintf("exited with status %d", e.Code)
	if e.Signal != 0 {
		how = fmt.Sprintf("was ended by signal %d (%s)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("launch: rank %d (pid %d) %s after %s", e.Rank, e.PID, how,
		e.After.Round(time.Millisecond))
}

// ExitCode is what a shell would report: the status, or 128 and the signal's number.
func (e *ExitError) ExitCode() int {
	if e.Signal != 0 {
		return 128 + int(e.Signal)
	}
	return e.Code
}

// StartError reports a rank that could not be started.
type StartError struct {
	Rank    int
	Program string
	Err     error
}

// Error names the program and the cause.
func (e *StartError) Error() string {
	return fmt.Sprintf("launch: rank %d: cannot start %q: %v", e.Rank, e.Program, e.Err)
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// ExitCode is what a shell reports: 127 for a program that was not found, else 126.
func (e *StartError) ExitCode() int {
	if errors.Is(e.Err, os.ErrNotExist) || errors.Is(e.Err, errNotFound) {
		return 127
	}
	return 126
}

// OptionError reports an option that makes no sense.
type OptionError struct{ Option, Problem string }

// Error names the option and the problem.
func (e *OptionError) Error() string { return "launch: " + e.Option + ": " + e.Problem }

// Run starts the ranks and blocks until all have ended. It returns nil when all exited with
// status 0, *ExitError for the first that did not (the others are ended then), *StartError,
// *OptionError, an error of the store, or the cause of ctx, whose end ends the ranks. No process
// that a rank left in its process group, and no goroutine, outlives Run.
func Run(ctx context.Context, o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	if o.Store == "" {
		server, err := rendezvous.ServeEmbedded("127.0.0.1:0", o.Secret, o.Logger)
		if err != nil {
			return err
		}
		defer server.Close()
		o.Store = server.URL()
	}
	return newJob(o).run(ctx)
}

// complete checks the options and fills in what is empty.
func (o *Options) complete() error {
	switch {
	case o.Ranks < 1 || o.Ranks > MaxRanks:
		return &OptionError{"Ranks", fmt.Sprintf("%d is not within 1 to %d", o.Ranks, MaxRanks)}
	case len(o.Command) == 0 || o.Command[0] == "":
		return &OptionError{"Command", "there is no program to run"}
	case o.Grace < 0:
		return &OptionError{"Grace", "a negative time"}
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Secret == "" {
		o.Secret = rand.Text()
	}
	if o.Job == "" {
		o.Job = "run-" + rand.Text()
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// environment is what one rank gets. Of a variable that stands there twice, the last counts.
func (o *Options) environment(rank int) []string {
	env := append(os.Environ(), o.Env...)
	return append(env,
		fmt.Sprintf("TUTTI_RANK=%d", rank),
		fmt.Sprintf("TUTTI_SIZE=%d", o.Ranks),
		fmt.Sprintf("TUTTI_LOCAL_RANK=%d", rank),
		fmt.Sprintf("TUTTI_LOCAL_SIZE=%d", o.Ranks),
		"TUTTI_STORE="+o.Store,
		"TUTTI_JOB="+o.Job,
		"TUTTI_SECRET="+o.Secret,
		"TUTTI_SECRET_FILE=",
	)
}
