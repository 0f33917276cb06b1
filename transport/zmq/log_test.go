//go:build linux || darwin

package zmq

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// lines is a log that a test reads.
type lines struct {
	mu   sync.Mutex
	all  []string
	grew chan struct{}
}

func newLines() *lines { return &lines{grew: make(chan struct{}, 1)} }

func (l *lines) logger() *slog.Logger { return slog.New(l) }

func (*lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *lines) WithGroup(string) slog.Handler          { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	l.mu.Lock()
	l.all = append(l.all, b.String())
	l.mu.Unlock()
	select {
	case l.grew <- struct{}{}:
	default:
	}
	return nil
}

// with returns the lines that contain a text.
func (l *lines) with(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var some []string
	for _, s := range l.all {
		if strings.Contains(s, text) {
			some = append(some, s)
		}
	}
	return some
}

// await waits until n lines contain a text.
func (l *lines) await(t testing.TB, n int, text string) []string {
	t.Helper()
	for {
		if some := l.with(text); len(some) >= n {
			return some
		}
		select {
		case <-l.grew:
		case <-t.Context().Done():
			t.Fatalf("the log does not come to say %q %d times", text, n)
		}
	}
}
