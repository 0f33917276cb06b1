package launch

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var errNotFound = exec.ErrNotFound

// rank is one process of the job.
type rank struct {
	number  int
	command *exec.Cmd
	outputs []*lines
	pipes   []*os.File // the launcher's ends
	writers []*os.File // the process's ends, until it has started
	copies  sync.WaitGroup
	started time.Time

	mu    sync.Mutex
	ended bool // no signal may be sent any more: the process id may be another's
}

// result is how a rank ended.
type result struct {
	rank *rank
	err  error // *StartError, *ExitError or nil
}

// start runs the rank's process from a thread of its own, which lives as long as the process:
// the kernel kills the process when the thread that started it ends, not the whole launcher.
func (r *rank) start(results chan<- result) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.command.Start()
		r.started = time.Now()
		if err == nil {
			r.copyOutputs()
		}
		started <- err
		if err == nil {
			results <- result{r, r.wait()}
		}
	}()
	if err := <-started; err != nil {
		r.closeOutputs()
		return &StartError{Rank: r.number, Program: r.command.Path, Err: err}
	}
	return nil
}

// wait waits for the process, then ends what it left behind in its group, then drains its output.
func (r *rank) wait() error {
	pid := r.command.Process.Pid
	var err error
	// Until the process is reaped its id, which is also its group's, cannot become another's.
	unreaped := awaitExit(pid)
	if !unreaped {
		err = r.command.Wait()
	}
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	killGroup(pid, syscall.SIGKILL)
	if unreaped {
		err = r.command.Wait()
	}
	after := time.Since(r.started)
	r.drain()
	state := r.command.ProcessState
	if state == nil {
		return fmt.Errorf("launch: rank %d: waiting for its end: %w", r.number, err)
	}
	if state.Success() {
		return nil
	}
	failed := &ExitError{Rank: r.number, PID: pid, Code: state.ExitCode(), After: after}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		failed.Signal = status.Signal()
	}
	return failed
}

// signal sends s to the rank's whole group, unless it has ended.
func (r *rank) signal(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		killGroup(r.command.Process.Pid, s)
	}
}

// pipe makes a pipe towards a sink and returns the process's end.
func (r *rank) pipe(to *sink, prefix string) (*os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	r.pipes, r.writers = append(r.pipes, read), append(r.writers, write)
	r.outputs = append(r.outputs, &lines{sink: to, prefix: prefix})
	return write, nil
}

// copyOutputs moves output until all writers of a pipe have closed it.
func (r *rank) copyOutputs() {
	for i, pipe := range r.pipes {
		r.copies.Go(func() {
			io.Copy(r.outputs[i], pipe) // ends at EOF, or at the deadline that drain sets
			r.outputs[i].Flush()
			pipe.Close()
		})
	}
	r.closeWriters()
}

// drainTime bounds how long output is read after the process has ended: a descendant that has left
// the group may hold the pipe open for ever.
const drainTime = 2 * time.Second

func (r *rank) drain() {
	for _, pipe := range r.pipes {
		pipe.SetReadDeadline(time.Now().Add(drainTime))
	}
	r.copies.Wait()
}

// closeWriters closes the launcher's copies of the process's ends, so that EOF can come.
func (r *rank) closeWriters() {
	for _, writer := range r.writers {
		writer.Close()
	}
}

// closeOutputs releases the pipes of a process that was not started.
func (r *rank) closeOutputs() {
	r.closeWriters()
	for _, pipe := range r.pipes {
		pipe.Close()
	}
}
