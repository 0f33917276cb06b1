package attach

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// lines is what a test reads of a log: its warnings.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// warnings returns the lines since the last call.
func (l *lines) warnings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := strings.FieldsFunc(l.text.String(), func(r rune) bool { return r == '\n' })
	l.text.Reset()
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
