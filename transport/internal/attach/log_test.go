package attach

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
	mu  sync.Mutex
	all []string
}

func (l *lines) logger() *slog.Logger { return slog.New(l) }

func (*lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *lines) WithGroup(string) slog.Handler          { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return nil
	}
	var b strings.Builder
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, b.String())
	return nil
}

// warnings returns the lines since the last call.
func (l *lines) warnings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := l.all
	l.all = nil
	return got
}

func TestLoggerOfNobody(t *testing.T) {
	if l := Logger(nil); l == nil || l.Enabled(t.Context(), slog.LevelError) {
		t.Errorf("%v", l)
	}
	var mine lines
	if l := mine.logger(); Logger(l) != l {
		t.Error("a logger becomes another")
	}
}
