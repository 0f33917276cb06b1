package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/proxy"
)

// The tests of faults run components in processes of their own, which they kill, stop and cut off.
// The test binary is their program too: scriptVariable tells it which.

const scriptVariable = "PROXY_TEST_SCRIPT"

// faultTime bounds what would otherwise hang; no test waits for it.
const faultTime = 4 * time.Minute

// faulty is a context that a test which hangs runs into.
func faulty(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), faultTime)
	t.Cleanup(cancel)
	return ctx
}

// script is what a process does, and as which component.
type script struct {
	Program string
	Kind    string
	Name    string
	Expect  map[string]int
	Store   string
	Secret  string
	Driver  string
	Lease   time.Duration
	Rejoin  bool
	Seed    uint64
	Tasks   int
}

// programs are what processes can run. They end when their input does.
var programs = map[string]func(ctx context.Context, s *script, p *proxy.Proxy) error{
	"serve":   serveProgram,
	"request": requestProgram,
	"listen":  listenProgram,
}

// options are those that the script tells.
func (s *script) options() []proxy.Option {
	list := []proxy.Option{
		proxy.WithName(s.Name), proxy.WithStore(s.Store), proxy.WithSecret(s.Secret),
		proxy.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	}
	if s.Driver != "" {
		list = append(list, proxy.WithDriverName(s.Driver))
	}
	if s.Lease > 0 {
		list = append(list, proxy.WithLease(s.Lease))
	}
	if s.Rejoin {
		list = append(list, proxy.WithRejoin(proxy.Rejoin{}))
	}
	return list
}

// runScript is the main function of a process.
func runScript(text string) int {
	err := func() error {
		var s script
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return err
		}
		program, ok := programs[s.Program]
		if !ok {
			return fmt.Errorf("no program %q", s.Program)
		}
		ctx, cancel := context.WithTimeout(context.Background(), faultTime)
		defer cancel()
		p, err := proxy.Join(ctx, "group", s.Kind, s.Expect, s.options()...)
		if err != nil {
			return err
		}
		say(report{What: "joined"})
		return errors.Join(program(ctx, &s, p), p.Close(ctx))
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// report is what a process tells its test.
type report struct {
	What    string
	Text    string
	Tasks   int
	Pause   time.Duration // the longest without a result
	Changes int           // of the membership
	Stats   proxy.Stats
}

var (
	saying sync.Mutex
	heard  = bufio.NewScanner(os.Stdin)
)

func say(r report) {
	saying.Lock()
	defer saying.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(r) // a test that has ended does not read it
}

// hear calls do for each word that the test tells the process, until there will be no more.
func hear(do func(word string)) {
	for heard.Scan() {
		do(heard.Text())
	}
}

// process is one that the test can talk to, stop and kill.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *json.Decoder
	stderr locked
	ended  sync.Once
	err    error
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// tail is the end of what was written.
func (l *locked) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b.Bytes()[max(0, l.b.Len()-4000):])
}

// launch runs a script in a process of its own, by the command before where there is one. What is
// left of it is killed when the test ends.
func launch(t *testing.T, s script, before ...string) (*process, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	arguments := append(before, os.Args[0])
	p := &process{t: t, name: s.Name, cmd: exec.Command(arguments[0], arguments[1:]...)}
	p.cmd.Env = append(os.Environ(), scriptVariable+"="+string(text))
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	p.stdout = json.NewDecoder(stdout)
	t.Cleanup(p.kill)
	return p, nil
}

// start is launch in the test's own goroutine.
func start(t *testing.T, s script, before ...string) *process {
	t.Helper()
	p, err := launch(t, s, before...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// expect takes the next report of the process, which has to be what the test wants.
func (p *process) expect(what string) (r report, err error) {
	if err = p.stdout.Decode(&r); err != nil {
		return r, fmt.Errorf("%s says nothing more, not %q: %w, %w\n%s", p.name, what, err, p.wait(),
			p.stderr.tail())
	}
	if r.What != what {
		return r, fmt.Errorf("%s says %+v, want %q\n%s", p.name, r, what, p.stderr.tail())
	}
	return r, nil
}

// read is expect in the test's own goroutine.
func (p *process) read(what string) report {
	p.t.Helper()
	r, err := p.expect(what)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// tell gives a process a word.
func (p *process) tell(word string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.stdin, word); err != nil {
		p.t.Fatalf("%s: %v\n%s", p.name, err, p.stderr.tail())
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v: %v\n%s", p.name, s, err, p.stderr.tail())
	}
}

// stop holds the process, and returns when it runs no longer.
func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || !status.Stopped():
			p.t.Fatalf("%s is not stopped: %v, %v\n%s", p.name, status, err, p.stderr.tail())
		default:
			return
		}
	}
}

// goOn ends a stop.
func (p *process) goOn() { p.signal(syscall.SIGCONT) }

// kill ends the process at once, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.wait()
}

// wait blocks until the process has ended, however it does.
func (p *process) wait() error {
	p.ended.Do(func() { p.err = p.cmd.Wait() })
	return p.err
}

// finish lets the process leave in order, and checks that it does.
func (p *process) finish() {
	p.t.Helper()
	if err := p.stdin.Close(); err != nil {
		p.t.Error(err)
	}
	p.mustEnd()
}

// mustEnd checks that the process has ended well, by itself.
func (p *process) mustEnd() {
	p.t.Helper()
	if err := p.wait(); err != nil {
		p.t.Errorf("%s: %v\n%s", p.name, err, p.stderr.tail())
	}
}
