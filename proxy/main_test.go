package proxy_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/rendezvous"
)

// The test binary is also the program of the tests with real processes.
func TestMain(m *testing.M) {
	if text := os.Getenv(scriptVariable); text != "" {
		os.Exit(runScript(text))
	}
	goleak.VerifyTestMain(m)
}

// embeddedStore serves a store for one test and returns its address.
func embeddedStore(t testing.TB) string {
	t.Helper()
	s, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}

// part is one component of a test's group.
type part struct {
	kind   string
	name   string
	expect map[string]int
}

// join makes proxies of all parts, which wait for each other, and closes them at the end.
func join(t testing.TB, store string, parts []part, options ...proxy.Option) map[string]*proxy.Proxy {
	t.Helper()
	return joinWith(t, store, parts, func(part) []proxy.Option { return options })
}

// joinWith is join with options for each part.
func joinWith(t testing.TB, store string, parts []part, optionsOf func(part) []proxy.Option,
) map[string]*proxy.Proxy {
	t.Helper()
	common := []proxy.Option{proxy.WithStore(store), proxy.WithSecret("")}
	if testing.Verbose() && os.Getenv("PROXY_LOG") != "" {
		h := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
		common = append(common, proxy.WithLogger(slog.New(h)))
	}
	var mu sync.Mutex
	all := map[string]*proxy.Proxy{}
	var group sync.WaitGroup
	for _, c := range parts {
		group.Go(func() {
			mine := slices.Concat(common, []proxy.Option{proxy.WithName(c.name)}, optionsOf(c))
			p, err := proxy.Join(context.Background(), "group", c.kind, c.expect, mine...)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all[c.name] = p
		})
	}
	group.Wait()
	t.Cleanup(func() {
		var group sync.WaitGroup
		for _, p := range all {
			group.Go(func() {
				if err := p.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	})
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// masterAndWorkers are a master that expects n workers, which expect it.
func masterAndWorkers(n int) []part {
	parts := []part{{"master", "master", map[string]int{"worker": n}}}
	for i := range n {
		parts = append(parts, part{"worker", fmt.Sprintf("worker.%d", i+1), map[string]int{"master": 1}})
	}
	return parts
}

// soon is a context that a test which hangs runs into.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
