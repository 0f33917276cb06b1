package rendezvous

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rankProcess, when set, makes the test binary a rank: it joins by what the environment says,
// prints what it found, and waits for its standard input to end.
const rankProcess = "TUTTI_TEST_RANK_PROCESS"

func runRankProcess() int {
	env, err := FromEnvironment(nil)
	if err != nil {
		fmt.Println("failed", err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTime)
	defer cancel()
	session, err := Join(ctx, env, Member{Version: "1"}, Options{Lease: time.Second})
	if err != nil {
		var missing *RollCallError
		if errors.As(err, &missing) {
			fmt.Println("missing", missing.Missing)
		}
		fmt.Println("failed", err)
		return 1
	}
	for _, member := range session.Members() {
		fmt.Println("member", member.Rank, member.PID, member.HostID)
	}
	fmt.Println("joined generation", session.Generation())
	// The end of the input is the parent's word that the process may go.
	var rest [1]byte
	os.Stdin.Read(rest[:])
	if err := session.Close(); err != nil {
		fmt.Println("failed", err)
		return 1
	}
	return 0
}

// process is a rank in a process of its own.
type process struct {
	command *exec.Cmd
	output  bytes.Buffer
	input   interface{ Close() error }
}

func startRank(t *testing.T, env ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(os.Args[0])}
	p.command.Env = append(os.Environ(), append(env, rankProcess+"=1")...)
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	input, err := p.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.input = input
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.command.Process.Kill()
		p.command.Wait()
	})
	return p
}

// finish lets the process go and returns what it printed.
func (p *process) finish(t *testing.T) string {
	t.Helper()
	p.input.Close()
	if err := p.command.Wait(); err != nil {
		t.Fatalf("%v:\n%s", err, p.output.String())
	}
	return p.output.String()
}

func rankVariables(rank, size int, store, job string) []string {
	return []string{
		"TUTTI_RANK=" + strconv.Itoa(rank), "TUTTI_SIZE=" + strconv.Itoa(size),
		"TUTTI_STORE=" + store, "TUTTI_JOB=" + job, "TUTTI_SECRET=s3cret",
	}
}

// TestProcessesJoin has real processes meet at a store that rank 0 serves, started in an order in
// which rank 0 comes last.
func TestProcessesJoin(t *testing.T) {
	const size = 4
	store := "embedded://" + freeAddress(t)
	processes := make([]*process, size)
	for rank := size - 1; rank >= 0; rank-- {
		processes[rank] = startRank(t, rankVariables(rank, size, store, "processes")...)
	}
	for _, p := range processes {
		p.input.Close()
	}
	for rank, p := range processes {
		output := p.finish(t)
		for other, q := range processes {
			want := fmt.Sprintf("member %d %d ", other, q.command.Process.Pid)
			if !strings.Contains(output, want) {
				t.Errorf("rank %d does not list %q:\n%s", rank, want, output)
			}
		}
	}
}

// TestProcessesKilledAndRestarted kills a whole job in the middle of its roll call and runs it
// again under the same name on the same, persistent store.
func TestProcessesKilledAndRestarted(t *testing.T) {
	program := redisServer(t)
	if program == "" {
		t.Skip("needs a store that outlives the ranks")
	}
	const size = 3
	url := startRedis(t, program, "word")
	watcher := dialPlace(t, place{url: url})
	job := jobName(t)
	var first []*process
	for rank := range size - 1 { // the last rank never comes
		first = append(first, startRank(t, rankVariables(rank, size, url, job)...))
	}
	awaitMembers(t, watcher, job, []byte("s3cret"), size-1)
	for _, p := range first {
		p.command.Process.Kill()
		p.command.Wait()
	}
	second := make([]*process, size)
	for rank := size - 1; rank >= 0; rank-- {
		second[rank] = startRank(t, rankVariables(rank, size, url, job)...)
	}
	for _, p := range second {
		p.input.Close()
	}
	for rank, p := range second {
		output := p.finish(t)
		for _, old := range first {
			if strings.Contains(output, fmt.Sprintf(" %d ", old.command.Process.Pid)) {
				t.Errorf("rank %d met pid %d of the killed run:\n%s", rank,
					old.command.Process.Pid, output)
			}
		}
		if !strings.Contains(output, "joined generation 2") {
			t.Errorf("rank %d is not in generation 2:\n%s", rank, output)
		}
	}
}

// awaitMembers blocks until a job's newest roll has n members.
func awaitMembers(t *testing.T, store Store, job string, secret []byte, n int) roll {
	t.Helper()
	ctx := testContext(t)
	c, err := newCall(store, RollCallOptions{Job: job, Size: n + 1, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := c.currentRoll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if r != nil {
			count, err := store.HLen(ctx, c.membersKey(r.ID))
			if err != nil {
				t.Fatal(err)
			}
			if count >= n {
				return *r
			}
		}
		if !pauseFor(ctx, 5*time.Millisecond) {
			t.Fatalf("the roll never had %d members", n)
		}
	}
}
