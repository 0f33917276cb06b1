package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/rendezvous"
)

// patient bounds what would otherwise hang; no test waits for it.
func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// noLeaks checks, after all that the test cleans up, that no goroutine is left.
func noLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// depot is a store of a test; a real Redis can be stopped and started again, empty.
type depot struct {
	name, url, secret string

	program string
	args    []string
	server  *exec.Cmd
}

// depots starts each kind of store that this machine has.
func depots(t testing.TB) []*depot {
	t.Helper()
	all := []*depot{embedded(t, ""), embedded(t, "s3cret")}
	for _, password := range []string{"", "word"} {
		if d := realRedis(t, password); d != nil {
			all = append(all, d)
		}
	}
	return all
}

func embedded(t testing.TB, secret string) *depot {
	t.Helper()
	server, err := rendezvous.ServeEmbedded("127.0.0.1:0", secret, nil)
	mustDo(t, err)
	t.Cleanup(func() { server.Close() })
	return &depot{name: "embedded" + secret, url: server.URL(), secret: secret}
}

// realRedis starts a Redis; TUTTI_REQUIRE_REDIS=1 makes its absence a failure.
func realRedis(t testing.TB, password string) *depot {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("TUTTI_REQUIRE_REDIS") == "1" {
			t.Fatalf("TUTTI_REQUIRE_REDIS=1, but there is no redis-server: %v", err)
		}
		t.Log("SKIPPED: no redis-server in PATH; only the embedded store is tested")
		return nil
	}
	dir, err := os.MkdirTemp("", "tutti") // t.TempDir can be too long for a socket's name
	mustDo(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	d := &depot{
		name: "redis" + password, url: "redis+unix://" + socket, program: program,
		args: []string{"--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir},
	}
	if password != "" {
		d.url, d.secret = "redis+unix://:"+password+"@"+socket, "s3cret"
		d.args = append(d.args, "--requirepass", password)
	}
	d.start(t)
	t.Cleanup(d.stop)
	return d
}

func (d *depot) start(t testing.TB) {
	t.Helper()
	d.server = exec.Command(d.program, d.args...)
	mustDo(t, d.server.Start())
}

func (d *depot) stop() {
	if d.server != nil {
		d.server.Process.Kill()
		d.server.Wait()
		d.server = nil
	}
}

func (d *depot) dial(t testing.TB) rendezvous.Store {
	t.Helper()
	store, err := rendezvous.Dial(patient(t), d.url, rendezvous.DialOptions{Secret: d.secret})
	mustDo(t, err)
	t.Cleanup(func() { store.Close() })
	return store
}

func (d *depot) options() rosterOptions { return rosterOptions{secret: []byte(d.secret)} }

// gather lets a learner and n actors enter, and waits until each sees all it expects.
func (d *depot) gather(t testing.TB, n int, o rosterOptions) (learner *player, actors []*player) {
	t.Helper()
	ctx := patient(t)
	learner = enter(t, d.dial(t), freshRecord("learner", "actor"), o)
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("actor", i))
		actors = append(actors, enter(t, d.dial(t), freshRecord("actor/"+names[i], "learner"), o))
	}
	learner.until(ctx, t, strings.Join(names, " "))
	for _, actor := range actors {
		actor.until(ctx, t, "learner")
	}
	return learner, actors
}

// TestRosterOnStores lets components enter, crash, be replaced and leave on every kind of store.
func TestRosterOnStores(t *testing.T) {
	noLeaks(t)
	for _, d := range depots(t) {
		t.Run(d.name, func(t *testing.T) {
			noLeaks(t)
			ctx, o := patient(t), d.options()
			o.lease = time.Second
			learner, actors := d.gather(t, 3, o)
			mustDo(t, actors[1].close(ctx))
			learner.until(ctx, t, "actor0 actor2")
			actors[2].crash()
			learner.until(ctx, t, "actor0")
			second := enter(t, d.dial(t), freshRecord("actor/actor2", "learner"), o)
			learner.until(ctx, t, "actor0 actor2")
			if found, _ := learner.byName("actor2"); !found.same(second.self) || found.Generation != 2 {
				t.Errorf("the learner sees %+v", found)
			}
			values, err := d.dial(t).HGetAll(ctx, "group:actor")
			if err != nil || len(values) != 2 || !strings.Contains(string(values["actor0"]),
				`"name":"actor0","type":"actor"`) {
				t.Errorf("the store holds %q, %v", values, err)
			}
		})
	}
}

// TestRosterStoreWithSecret keeps out who does not know the group's secret, and who has another
// than the store's.
func TestRosterStoreWithSecret(t *testing.T) {
	noLeaks(t)
	d := embedded(t, "")
	ctx := patient(t)
	log := new(testLog)
	learner := enter(t, d.dial(t), freshRecord("learner", "actor"),
		rosterOptions{secret: []byte("s3cret"), logger: log.logger()})
	for _, secret := range []string{"", "another"} {
		enter(t, d.dial(t), freshRecord("actor/a"+secret), rosterOptions{secret: []byte(secret)})
	}
	enter(t, d.dial(t), freshRecord("actor/good"), rosterOptions{secret: []byte("s3cret")})
	learner.until(ctx, t, "good")
	mustDo(t, learner.refresh(ctx))
	if n := log.count("the signature does not match"); n != 2 {
		t.Errorf("%d lines about a signature: %q", n, log.lines)
	}
}

// TestRosterRedisFlushed sends FLUSHALL to a running group.
func TestRosterRedisFlushed(t *testing.T) {
	noLeaks(t)
	d := realRedis(t, "word")
	if d == nil {
		t.Skip("no redis-server")
	}
	ctx := patient(t)
	o := d.options()
	o.lease = time.Minute
	learner, actors := d.gather(t, 3, o)
	learner.hear(ctx, t, 3)
	admin := redis.NewClient(&redis.Options{Dialer: func(ctx context.Context, _, _ string,
	) (net.Conn, error) {
		path := d.url[strings.Index(d.url, "@")+1:]
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}, Password: "word"})
	defer admin.Close()
	mustDo(t, admin.FlushAll(ctx).Err())
	// The first who looks publishes itself and wakes the others.
	mustDo(t, learner.refresh(ctx))
	for _, actor := range actors {
		mustDo(t, actor.refresh(ctx))
	}
	late := enter(t, d.dial(t), freshRecord("late", "actor", "learner"), o)
	late.until(ctx, t, "actor0 actor1 actor2 learner")
	news := learner.take()
	if names := learner.names(); names != "actor0 actor1 actor2" || len(news) != 0 {
		t.Errorf("was told %q; sees %q", news, names)
	}
}

// TestRosterRedisRestarted kills the server under a running group, and starts it again, empty. The
// members know each other all the while, and meet a newcomer afterwards.
func TestRosterRedisRestarted(t *testing.T) {
	noLeaks(t)
	d := realRedis(t, "word")
	if d == nil {
		t.Skip("no redis-server")
	}
	ctx, o := patient(t), d.options()
	o.lease = 20 * time.Second // far more than the members need to come back
	learner, actors := d.gather(t, 2, o)
	learner.hear(ctx, t, 2)
	d.stop()
	for _, p := range append(actors, learner) {
		says[*MembershipError](t, p.refresh(ctx), "read failed", "check that the store runs")
	}
	if learner.names() != "actor0 actor1" {
		t.Errorf("without the store: %q", learner.names())
	}
	d.start(t)
	late := enter(t, d.dial(t), freshRecord("actor/late", "actor", "learner"), o)
	late.until(ctx, t, "actor0 actor1 learner")
	learner.until(ctx, t, "actor0 actor1 late")
	if told := learner.hear(ctx, t, 1); len(told) != 1 {
		t.Errorf("told %q", told)
	}
}

// rosterProcess is set in a process of this test binary that is to be a member.
const rosterProcess = "TUTTI_TEST_ROSTER"

// TestRosterProcess is the program of TestRosterKilledProcess; by itself it does nothing.
func TestRosterProcess(t *testing.T) {
	url := os.Getenv(rosterProcess)
	if url == "" {
		return
	}
	d := depot{url: url}
	enter(t, d.dial(t), freshRecord("actor"), rosterOptions{lease: time.Hour})
	fmt.Println("entered")
	<-patient(t).Done() // it is killed
}

// TestRosterKilledProcess kills a member's process; the next one has the name at once, although
// the lease would last for an hour.
func TestRosterKilledProcess(t *testing.T) {
	noLeaks(t)
	if pidSpace() == "" {
		t.Skip("SKIPPED: this platform does not tell what a process id means")
	}
	for _, d := range depots(t) {
		if d.secret != "" {
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			ctx := patient(t)
			learner := enter(t, d.dial(t), freshRecord("learner", "actor"), rosterOptions{})
			command := exec.Command(os.Args[0], "-test.run=^TestRosterProcess$")
			command.Env = append(os.Environ(), rosterProcess+"="+d.url)
			mustDo(t, command.Start())
			learner.until(ctx, t, "actor")
			mustDo(t, command.Process.Kill())
			if err := command.Wait(); err == nil {
				t.Error("the process ended by itself")
			}
			start := time.Now()
			enter(t, d.dial(t), freshRecord("actor"), rosterOptions{})
			entered := time.Since(start)
			found, _ := learner.byName("actor")
			for ; found.PID != os.Getpid(); found, _ = learner.byName("actor") {
				select {
				case <-learner.news:
				case <-ctx.Done():
					t.Fatalf("the learner sees %+v", found)
				}
			}
			t.Logf("entered after %s, noticed after %s", entered, time.Since(start))
			if found.Generation != 2 {
				t.Errorf("the learner sees %+v", found)
			}
		})
	}
}

// TestRosterStoreRefuses enters with a store that does not allow it: no use in trying again.
func TestRosterStoreRefuses(t *testing.T) {
	noLeaks(t)
	d := embedded(t, "")
	store := d.dial(t)
	mustDo(t, store.Set(patient(t), "group:actor", []byte("a text"), 0))
	_, err := open(patient(t), store, freshRecord("actor"), rosterOptions{})
	e := says[*MembershipError](t, err, "WRONGTYPE", "nobody else uses keys")
	var cause *rendezvous.StoreError
	if !errors.As(e, &cause) || !cause.Refused() {
		t.Errorf("the cause is %v", e.Err)
	}
}

// BenchmarkRosterJoin measures how long a learner and four actors take from the first claim until
// all see each other.
func BenchmarkRosterJoin(b *testing.B) {
	for _, d := range depots(b) {
		if d.secret != "" {
			continue
		}
		b.Run(d.name, func(b *testing.B) {
			var stores []rendezvous.Store
			for range 5 {
				stores = append(stores, d.dial(b))
			}
			ctx, round := patient(b), 0
			for b.Loop() {
				round++
				o := rosterOptions{group: fmt.Sprint("g", round)}
				players := make([]*player, len(stores))
				done := make(chan error, len(stores))
				for i, store := range stores {
					go func() {
						me := freshRecord(fmt.Sprint("actor/a", i), "actor")
						var err error
						players[i], err = open(ctx, store, me, o)
						done <- err
					}()
				}
				for range players {
					mustDo(b, <-done)
				}
				for _, p := range players {
					for len(p.members()) < len(players)-1 {
						<-p.news
					}
				}
				b.StopTimer()
				for _, p := range players {
					mustDo(b, p.close(ctx))
				}
				b.StartTimer()
			}
		})
	}
}
