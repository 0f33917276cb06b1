package collective

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/tutti-ml/tutti/rendezvous"
)

// process is a rank that the test can talk to, stop and kill: a launcher would end the others.
type process struct {
	t      *testing.T
	rank   int
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *json.Decoder
	stderr lockedBuffer
	ended  sync.Once
	err    error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startRanks starts the ranks of a job, which meet at a store of this process. What is left of them
// is killed when the test ends.
func startRanks(t *testing.T, size int, driver, program, argument string) []*process {
	t.Helper()
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	all := make([]*process, size)
	for rank := range all {
		all[rank] = startRank(t, rank, exec.Command(os.Args[0]),
			programVariable+"="+program, argumentVariable+"="+argument, "TUTTI_DRIVER="+driver,
			"TUTTI_TUNE=off",
			fmt.Sprint("TUTTI_RANK=", rank), fmt.Sprint("TUTTI_SIZE=", size),
			"TUTTI_STORE="+store.URL(), "TUTTI_SECRET=secret", "TUTTI_JOB=faults")
	}
	return all
}

// startRank starts one rank.
func startRank(t *testing.T, rank int, cmd *exec.Cmd, env ...string) *process {
	t.Helper()
	p := &process{t: t, rank: rank, cmd: cmd}
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = &p.stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = cmd.StdinPipe()
	}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = json.NewDecoder(stdout)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		p.wait()
	})
	return p
}

// read takes the next report of the rank.
func read[T any](p *process) (r T) {
	p.t.Helper()
	if err := p.stdout.Decode(&r); err != nil {
		p.t.Fatalf("rank %d says nothing more: %v, %v\n%.2000s", p.rank, err, p.wait(), p.stderr.String())
	}
	return r
}

// tell lets a rank go on that awaits a word.
func (p *process) tell(word string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, word); err != nil {
		p.t.Fatalf("rank %d: %v", p.rank, err)
	}
}

// wait blocks until the process has ended, however it does.
func (p *process) wait() error {
	p.ended.Do(func() { p.err = p.cmd.Wait() })
	return p.err
}

// mustEnd checks that the process has ended well.
func (p *process) mustEnd() {
	p.t.Helper()
	if err := p.wait(); err != nil {
		p.t.Errorf("rank %d: %v\n%.2000s", p.rank, err, p.stderr.String())
	}
}

// signalOf is the signal that has ended the process.
func (p *process) signalOf() syscall.Signal {
	var exit *exec.ExitError
	if errors.As(p.wait(), &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return status.Signal()
		}
	}
	return 0
}

var words = bufio.NewReader(os.Stdin)

// await blocks a rank until the test tells it to go on.
func await(word string) error {
	line, err := words.ReadString('\n')
	if err != nil {
		return fmt.Errorf("awaiting %q: %w", word, err)
	}
	if line != word+"\n" {
		return fmt.Errorf("told %q, want %q", line, word)
	}
	return nil
}
