package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// job is a Run under way. Its state belongs to the goroutine of run.
type job struct {
	Options
	stdout, stderr *sink
	ranks          []*rank
	results        chan result
	left           int  // ranks that have not ended
	ending         bool // ranks were asked to end
	killed         bool
	grace          *time.Timer
	first          error // what Run will return
}

func newJob(o Options) *job {
	mu := new(sync.Mutex)
	return &job{
		Options: o,
		stdout:  &sink{mu: mu, to: o.Stdout, timestamp: o.Timestamp},
		stderr:  &sink{mu: mu, to: o.Stderr, timestamp: o.Timestamp},
		results: make(chan result, o.Ranks),
	}
}

// run starts all ranks and takes events until none is left.
func (j *job) run(ctx context.Context) error {
	j.grace = time.NewTimer(j.Grace)
	j.grace.Stop()
	defer j.grace.Stop()
	for number := range j.Ranks {
		if err := j.start(number); err != nil {
			j.fail(err)
			break
		}
	}
	done := ctx.Done()
	for j.left > 0 {
		select {
		case r := <-j.results:
			j.left--
			j.ended(r)
		case s := <-j.Signals:
			j.forward(s)
		case <-j.grace.C:
			j.Logger.Warn("killing the ranks that have not ended", "grace", j.Grace, "ranks", j.left)
			j.kill()
		case <-done:
			done = nil
			j.fail(context.Cause(ctx))
		}
	}
	if j.first == nil {
		j.first = errors.Join(j.stdout.failure(), j.stderr.failure())
	}
	return j.first
}

// start prepares one rank's process and starts it.
func (j *job) start(number int) error {
	command := exec.Command(j.Command[0], j.Command[1:]...)
	command.Env = j.environment(number)
	command.SysProcAttr = attributes()
	r := &rank{number: number, command: command}
	var err error
	if command.Stdout, err = j.output(r, j.stdout); err == nil {
		command.Stderr, err = j.output(r, j.stderr)
	}
	if err != nil {
		r.closeOutputs()
		return &StartError{Rank: number, Program: j.Command[0], Err: err}
	}
	if err := r.start(j.results); err != nil {
		return err
	}
	j.ranks = append(j.ranks, r)
	j.left++
	j.Logger.Debug("rank started", "rank", number, "pid", command.Process.Pid)
	return nil
}

// output is where a rank writes: straight into the launcher's file, where that is wanted and
// possible, else into a pipe whose lines go to the sink.
func (j *job) output(r *rank, to *sink) (io.Writer, error) {
	if file, ok := to.to.(*os.File); ok && j.NoPrefix {
		return file, nil
	}
	prefix := ""
	if !j.NoPrefix {
		prefix = fmt.Sprintf("[%d] ", r.number)
	}
	return r.pipe(to, prefix)
}

// ended takes note of a rank's end.
func (j *job) ended(r result) {
	if r.err == nil {
		j.Logger.Debug("rank ended well", "rank", r.rank.number)
		return
	}
	if j.first != nil {
		j.Logger.Debug("another rank ended", "rank", r.rank.number, "how", r.err)
		return
	}
	j.fail(r.err)
}

// fail keeps the first cause and ends all ranks.
func (j *job) fail(cause error) {
	if j.first != nil {
		return
	}
	j.first = cause
	log := j.Logger.With(slog.Int("ranks still running", j.left))
	if failed := (*ExitError)(nil); errors.As(cause, &failed) {
		log.Info("rank failed first", "rank", failed.Rank, "cause", cause)
	} else {
		log.Info("ending the job", "cause", cause)
	}
	j.end(syscall.SIGTERM)
}

// end asks all ranks to end, once, and starts the grace period.
func (j *job) end(s syscall.Signal) {
	if j.ending {
		return
	}
	j.ending = true
	j.signal(s)
	j.grace.Reset(j.Grace)
}

// forward passes a signal on; a second request to end kills.
func (j *job) forward(s os.Signal) {
	number, ok := s.(syscall.Signal)
	if !ok {
		return
	}
	switch {
	case number != syscall.SIGINT && number != syscall.SIGTERM:
		j.signal(number)
	case j.ending:
		j.Logger.Warn("killing the ranks: asked to end again", "signal", number)
		j.kill()
	default:
		j.Logger.Info("ending the ranks", "signal", number, "grace", j.Grace)
		j.end(number)
	}
}

func (j *job) kill() {
	if !j.killed {
		j.killed = true
		j.signal(syscall.SIGKILL)
	}
}

func (j *job) signal(s syscall.Signal) {
	for _, r := range j.ranks {
		r.signal(s)
	}
}
