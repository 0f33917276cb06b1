package rendezvous

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"testing"
	"time"
)

// TestDialWaits starts the server only after Dial has failed and said what it waits for.
func TestDialWaits(t *testing.T) {
	address := freeAddress(t)
	log, lines := newTestLog(t)
	servers := make(chan *Server, 1)
	go func() {
		awaitLine(t, lines, "waiting for the store", address, "phase=connect", "refused")
		server, err := ServeEmbedded(address, "s3cret", nil)
		if err != nil {
			t.Error(err)
		}
		servers <- server
	}()
	store, err := Dial(testContext(t), "embedded://"+address,
		DialOptions{Secret: "s3cret", Logger: log, Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	(<-servers).Close()
}

// TestDialRedisTCP reaches a real server over TCP, with a password and another database.
func TestDialRedisTCP(t *testing.T) {
	program := redisServer(t)
	if program == "" {
		t.Skip("needs redis-server")
	}
	ctx := testContext(t)
	store, err := Dial(ctx, startRedisTCP(t, program), DialOptions{})
	check(t, err)
	defer store.Close()
	check(t, store.Set(ctx, "key", []byte("value"), time.Minute))
}

func TestDialErrors(t *testing.T) {
	locked := serve(t, "s3cret")
	stranger := serveStrange(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
	tests := []struct {
		name, url, secret string
		phase             string
		want              []string
	}{
		{"malformed", "mysql://h", "", "address", []string{"use one of redis://host:port/db"}},
		{"wrong secret", locked.URL(), "other", "auth", []string{"same TUTTI_SECRET", "WRONGPASS"}},
		{"no secret", locked.URL(), "", "auth", []string{"same TUTTI_SECRET", "NOAUTH"}},
		{
			"not a store", "redis://" + stranger, "", "ping",
			[]string{"attempts: 3", "nothing else, listens at that address"},
		},
	}
	if program := redisServer(t); program != "" {
		tests = append(tests, struct {
			name, url, secret string
			phase             string
			want              []string
		}{
			"wrong password of a real server",
			"redis+unix://:wrong@" + mustParse(t, startRedis(t, program, "right")).path, "", "auth",
			[]string{"check the user and password in TUTTI_STORE", "WRONGPASS"},
		})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Dial(testContext(t), test.url, DialOptions{Secret: test.secret})
			var failure *StoreError
			if !errors.As(err, &failure) {
				t.Fatalf("%v, want a *StoreError", err)
			}
			if failure.Phase != test.phase {
				t.Errorf("phase %q, want %q: %v", failure.Phase, test.phase, err)
			}
			contains(t, err, test.want...)
		})
	}
}

func mustParse(t *testing.T, url string) storeURL {
	t.Helper()
	u, err := parseStoreURL(url)
	check(t, err)
	return u
}

// serveStrange answers every connection with the same text.
func serveStrange(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, text)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// TestDialTLS refuses a server whose certificate nobody has signed.
func TestDialTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS() // with a certificate of its own
	defer server.Close()
	_, err := Dial(testContext(t), "rediss://"+server.Listener.Addr().String(), DialOptions{})
	var failure *StoreError
	if !errors.As(err, &failure) || failure.Phase != "tls" {
		t.Errorf("%v, want a *StoreError of phase tls", err)
	}
	contains(t, err, "certificate", "SSL_CERT_FILE")
}

// TestDialGivesUp ends the context while Dial waits in each of its phases: the error still says
// what was wrong.
func TestDialGivesUp(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	check(t, err)
	defer silent.Close()
	tests := []struct{ url, phase string }{
		{"embedded://" + freeAddress(t), "connect"},
		{"redis+unix:///nowhere/at/all.sock", "connect"},
		{"redis://no-such-host.invalid:1", "lookup"},
	}
	for _, test := range tests {
		ctx, cancel := context.WithCancel(testContext(t))
		logger, lines := newTestLog(t)
		go func() {
			awaitLine(t, lines, "waiting for the store")
			cancel()
		}()
		_, err := Dial(ctx, test.url, DialOptions{Logger: logger, Patience: time.Nanosecond})
		var failure *StoreError
		if !errors.As(err, &failure) || failure.Phase != test.phase || failure.Attempts == 0 {
			t.Errorf("%s: %v, want a *StoreError of phase %s", test.url, err, test.phase)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled in it", test.url, err)
		}
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	_, err = Dial(ctx, "redis://"+silent.Addr().String(), DialOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a silent server: %v, want context.Canceled", err)
	}
}
