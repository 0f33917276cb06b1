package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/rendezvous/launch"
)

// programVariable makes this test binary be the program that it tests.
const programVariable = "ROLLOUT_TEST_PROGRAM"

// results returns the lines that do not depend on who played where.
func results(output string) (lines []string) {
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "parameters ") || strings.Contains(line, "without exploring") {
			lines = append(lines, line)
		}
	}
	return lines
}

// alike compares the results of two runs.
func alike(t *testing.T, got, want string) {
	t.Helper()
	g, w := results(got), results(want)
	if len(w) != 2 || fmt.Sprint(g) != fmt.Sprint(w) {
		t.Errorf("results %q, want %q; output:\n%s", g, w, got)
	}
}

// here runs the program in this process.
func here(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// launched runs the program as ranks in processes of their own, over a store.
func launched(t *testing.T, ranks int, store string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := launch.Run(ctx, launch.Options{
		Ranks: ranks, Command: append([]string{os.Args[0]}, args...), Store: store,
		Env: []string{programVariable + "=1"}, Stdout: &out, Stderr: &out, NoPrefix: true,
	})
	if err != nil {
		t.Fatalf("%v; output:\n%s", err, out.String())
	}
	return out.String()
}

const shortRun = 6 * 3 * 512 // steps of a run of three actors

var shortArgs = []string{"-seed", "3", "-steps", fmt.Sprint(shortRun), "-eval", "4"}

func TestActorsElsewhereMakeNoDifference(t *testing.T) {
	want := here(t, append(shortArgs, "-actors", "3")...)
	stores := map[string]string{"embedded": ""}
	if program := redisServer(t); program != "" {
		stores["redis"] = startRedis(t, program, "")
		stores["redis with a password"] = startRedis(t, program, "word")
	}
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			alike(t, launched(t, 4, store, shortArgs...), want)
		})
	}
}

func TestAsynchronousActors(t *testing.T) {
	out := launched(t, 4, "", append(shortArgs, "-async")...)
	if len(results(out)) != 2 || !strings.Contains(out, "1 an update") {
		t.Errorf("output:\n%s", out)
	}
}

// TestMembersLearnTogether checks that the learners agree, by what rank 0 prints, with each other from
// run to run.
func TestMembersLearnTogether(t *testing.T) {
	args := append(shortArgs, "-collective")
	alike(t, launched(t, 3, "", args...), launched(t, 3, "", args...))
}

// TestAKilledActorMakesNoDifference kills an actor in the middle and starts it again.
func TestAKilledActorMakesNoDifference(t *testing.T) {
	want := here(t, append(shortArgs, "-actors", "2")...)
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var stderr lockedBuffer
	start := func(args ...string) (*exec.Cmd, *bufio.Scanner) {
		c := exec.CommandContext(t.Context(), os.Args[0], append(shortArgs, args...)...)
		c.Env = append(os.Environ(),
			programVariable+"=1", "TUTTI_STORE="+store.URL(), "TUTTI_TUNE=off")
		c.Stderr = &stderr
		pipe, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c, bufio.NewScanner(pipe)
	}
	first, _ := start("-actors", "2", "-role", "actor", "-number", "0")
	second, _ := start("-actors", "2", "-role", "actor", "-number", "1")
	learner, lines := start("-actors", "2", "-role", "learner")
	var out strings.Builder
	for lines.Scan() {
		fmt.Fprintln(&out, lines.Text())
		if !strings.HasPrefix(strings.TrimSpace(lines.Text()), "5 ") {
			continue
		}
		if err := second.Process.Kill(); err != nil { // after the fifth update
			t.Fatal(err)
		}
		_ = second.Wait() // it was killed
		second, _ = start("-actors", "2", "-role", "actor", "-number", "1")
	}
	for name, c := range map[string]*exec.Cmd{"learner": learner, "actor 0": first, "actor 1": second} {
		if err := c.Wait(); err != nil {
			t.Errorf("%s: %v; %s", name, err, stderr.String())
		}
	}
	alike(t, out.String(), want)
}

// lockedBuffer is written to by several processes' pipes.
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

// redisServer finds a real Redis. TUTTI_REQUIRE_REDIS=1 makes its absence a failure.
func redisServer(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err == nil {
		return program
	}
	if os.Getenv("TUTTI_REQUIRE_REDIS") == "1" {
		t.Fatalf("TUTTI_REQUIRE_REDIS=1, but there is no redis-server: %v", err)
	}
	t.Log("SKIPPED: no redis-server in PATH; only the embedded store is tested")
	return ""
}

// startRedis runs a real server on a TCP port, and returns its address.
func startRedis(t *testing.T, program, password string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	user := ""
	args := []string{
		"--bind", "127.0.0.1", "--port", fmt.Sprint(address.Port), "--save", "", "--dir", t.TempDir(),
	}
	if password != "" {
		args = append(args, "--requirepass", password)
		user = ":" + password + "@"
	}
	server := exec.Command(program, args...)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = server.Wait() // it was killed
	})
	return fmt.Sprintf("redis://%s%s", user, address)
}
