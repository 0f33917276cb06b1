package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/rendezvous"
)

// redis is a real Redis that a test can kill and start again, without what was in it.
type redis struct {
	t        *testing.T
	program  string
	port     string
	password string
	cmd      *exec.Cmd
	output   locked
}

// newRedis starts a server. TUTTI_REQUIRE_REDIS=1 makes its absence a failure.
func newRedis(t *testing.T, password string) *redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("TUTTI_REQUIRE_REDIS") == "1" {
			t.Fatalf("TUTTI_REQUIRE_REDIS=1, but there is no redis-server: %v", err)
		}
		t.Skip("no redis-server in PATH")
	}
	r := &redis{t: t, program: program, port: quietPort(t), password: password}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// quietPort is a port on which nobody listens, and which the system gives to no connection of its
// own accord: it has to be free again after the server was killed.
func quietPort(t *testing.T) string {
	for range 100 {
		port := fmt.Sprint(20000 + rand.IntN(10000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			if err = l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (r *redis) start() {
	r.t.Helper()
	arguments := []string{
		"--bind", "127.0.0.1", "--port", r.port, "--save", "", "--dir", r.t.TempDir(),
	}
	if r.password != "" {
		arguments = append(arguments, "--requirepass", r.password)
	}
	r.cmd = exec.Command(r.program, arguments...)
	r.cmd.Stdout, r.cmd.Stderr = &r.output, &r.output
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *redis) kill() {
	_ = r.cmd.Process.Kill() // it may be killed already
	_ = r.cmd.Wait()
	if r.t.Failed() {
		r.t.Log(r.output.tail())
	}
}

func (r *redis) url() string {
	user := ""
	if r.password != "" {
		user = ":" + r.password + "@"
	}
	return "redis://" + user + "127.0.0.1:" + r.port
}

// published waits until the store has records and leases of all names of a type, as redis-cli would
// show them, and returns their processes.
func published(ctx context.Context, store rendezvous.Store, kind string, names ...string,
) (map[string]int, error) {
	hints, err := store.Watch(ctx, "group", nil)
	if err != nil {
		return nil, err
	}
	defer hints.Stop()
	for {
		fields, err := store.HGetAll(ctx, "group:"+kind)
		if err != nil {
			return nil, err
		}
		pids := map[string]int{}
		for name, text := range fields {
			var value struct{ Record struct{ PID int } }
			if err := json.Unmarshal(text, &value); err != nil {
				return nil, fmt.Errorf("%s: %w", text, err)
			}
			if _, err := store.Get(ctx, "group:"+name+":lease"); err != nil {
				if errors.Is(err, rendezvous.ErrNotFound) {
					continue
				}
				return nil, err
			}
			pids[name] = value.Record.PID
		}
		all := true
		for _, name := range names {
			all = all && pids[name] != 0
		}
		if all {
			return pids, nil
		}
		select {
		case <-hints.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %v, there are %v: %w", names, pids, ctx.Err())
		}
	}
}

// TestRestartedStore kills the Redis through which the components have met, and starts an empty
// one. The job goes on meanwhile, and everybody is published again afterwards.
func TestRestartedStore(t *testing.T) {
	tests := []restarts{
		// Nobody may be judged, or tasks would fail at once.
		{name: "open", lease: 10 * time.Second},
		// Outages are longer than the leases.
		{
			name: "password and secret", password: "pass-word", secret: "secret",
			lease: 300 * time.Millisecond, rejoin: true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

type restarts struct {
	name, password, secret string
	lease                  time.Duration
	rejoin                 bool
}

func (test *restarts) worker(server *redis, i int) script {
	s := worker(server.url(), i, test.lease, 1)
	s.Secret, s.Rejoin = test.secret, test.rejoin
	return s
}

func (test *restarts) run(t *testing.T) {
	ctx := faulty(t)
	server := newRedis(t, test.password)
	workers := make([]*process, 3)
	for i := range workers {
		workers[i] = start(t, test.worker(server, i))
	}
	options := []proxy.Option{proxy.WithLease(test.lease), proxy.WithSecret(test.secret)}
	if test.rejoin {
		options = append(options, proxy.WithRejoin(proxy.Rejoin{}))
	}
	parts := []part{{"master", "master", map[string]int{"worker": len(workers)}}}
	master := join(t, server.url(), parts, options...)["master"]
	for _, w := range workers {
		w.read("joined")
	}
	before := master.Revision()
	job := loaded(ctx, t, master, workers)
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		job.take(50)
		server.kill()
		job.take(200)
		if test.rejoin {
			time.Sleep(2 * test.lease) // so long the outage lasts, at least
			job.take(50)
		}
		server.start()
		job.during(func() error { return test.published(ctx, server, workers) })
	}
	latest := start(t, test.worker(server, len(workers)))
	job.during(func() error {
		_, err := latest.expect("joined")
		return err
	})
	job.during(func() error { return job.drive(ctx, latest.name, 1, budget(1)) })
	job.end()
	if s := master.Stats(); s.Resent != 0 || s.Duplicates != 0 || s.Late != 0 {
		t.Errorf("nobody was lost, yet: %+v", s)
	}
	if now := master.Revision(); !test.rejoin && now != before+1 {
		t.Errorf("the membership has changed %d times, want once, by the latest worker", now-before)
	}
	for _, w := range append(workers, latest) {
		w.finish()
	}
}

// published waits until everybody is in the store again, and checks that it is as the process that
// it was.
func (test *restarts) published(ctx context.Context, server *redis, workers []*process) error {
	store, err := rendezvous.Dial(ctx, server.url(), rendezvous.DialOptions{Secret: test.secret})
	if err != nil {
		return err
	}
	defer store.Close()
	names := make([]string, len(workers))
	for i, w := range workers {
		names[i] = w.name
	}
	pids, err := published(ctx, store, "worker", names...)
	if err != nil {
		return err
	}
	for _, w := range workers {
		if pids[w.name] != w.cmd.Process.Pid {
			return fmt.Errorf("%s is published as process %d, not %d", w.name, pids[w.name],
				w.cmd.Process.Pid)
		}
	}
	pids, err = published(ctx, store, "master", "master")
	if err == nil && pids["master"] != os.Getpid() {
		err = fmt.Errorf("the master is published as process %d", pids["master"])
	}
	return err
}
