package rendezvous

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is also the program of the tests with real processes.
func TestMain(m *testing.M) {
	if os.Getenv(rankProcess) != "" {
		os.Exit(runRankProcess())
	}
	goleak.VerifyTestMain(m)
}

// testTime bounds what would otherwise hang; no test waits for it.
const testTime = 2 * time.Minute

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTime)
	t.Cleanup(cancel)
	return ctx
}

// place is a store to run a test on.
type place struct {
	name   string
	url    string
	secret string
}

// places starts every kind of store that this machine has: embedded and real, with and without
// password.
func places(t *testing.T) []place {
	t.Helper()
	all := []place{
		{"embedded", serve(t, "").URL(), ""},
		{"embedded with secret", serve(t, "s3cret").URL(), "s3cret"},
	}
	if program := redisServer(t); program != "" {
		all = append(all,
			place{"redis", startRedis(t, program, ""), ""},
			place{"redis with password", startRedis(t, program, "pass word"), "s3cret"})
	}
	return all
}

func serve(t testing.TB, secret string) *Server {
	t.Helper()
	server, err := ServeEmbedded("127.0.0.1:0", secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

func dialPlace(t testing.TB, p place) Store {
	t.Helper()
	store, err := Dial(testContext(t), p.url, DialOptions{Secret: p.secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// redisServer finds a real Redis. TUTTI_REQUIRE_REDIS=1 makes its absence a failure.
func redisServer(t testing.TB) string {
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

// startRedis runs a real server on a Unix socket, and returns its address.
func startRedis(t testing.TB, program, password string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tutti") // t.TempDir can be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	args := []string{
		"--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir,
		"--daemonize", "no",
	}
	user := ""
	if password != "" {
		args = append(args, "--requirepass", password)
		user = ":" + strings.ReplaceAll(password, " ", "%20") + "@"
	}
	startServer(t, exec.Command(program, args...))
	return "redis+unix://" + user + socket
}

// startRedisTCP runs a real server on a TCP port of its own.
func startRedisTCP(t testing.TB, program string) string {
	t.Helper()
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	startServer(t, exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "",
		"--dir", t.TempDir(), "--requirepass", "word"))
	return "redis://:word@" + address + "/3"
}

func startServer(t testing.TB, server *exec.Cmd) {
	t.Helper()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// testLog passes log lines to the test, and to whoever waits for one.
type testLog struct {
	t     testing.TB
	lines chan string
}

// newTestLog returns a logger and the channel of its lines.
func newTestLog(t testing.TB) (*slog.Logger, <-chan string) {
	l := &testLog{t: t, lines: make(chan string, 1000)}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})), l.lines
}

func (l *testLog) Write(p []byte) (int, error) {
	select {
	case l.lines <- strings.TrimSpace(string(p)):
	default:
	}
	return len(p), nil
}

// awaitLine blocks until a line holds all of the texts, and returns it.
func awaitLine(t testing.TB, lines <-chan string, texts ...string) string {
	t.Helper()
	ctx := testContext(t)
	var seen []string
	for {
		select {
		case line := <-lines:
			seen = append(seen, line)
			found := true
			for _, text := range texts {
				found = found && strings.Contains(line, text)
			}
			if found {
				return line
			}
		case <-ctx.Done():
			t.Fatalf("no line with %q among:\n%s", texts, strings.Join(seen, "\n"))
		}
	}
}

// contains fails the test unless the error's text holds all of the texts.
func contains(t testing.TB, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error does not say %q: %v", text, err)
		}
	}
}

func jobName(t testing.TB) string { return fmt.Sprintf("%s-%d", t.Name(), os.Getpid()) }
