//go:build linux || darwin

package attach

import (
	"log/slog"
	"sync"
	"time"
)

// refusals logs what strangers do, but not without limit: a burst of lines, then one a second that
// counts those left out.
type refusals struct {
	log     *slog.Logger
	mu      sync.Mutex
	credit  int
	last    time.Time
	dropped int
}

const burst = 20

func (r *refusals) report(text string, args ...any) {
	r.mu.Lock()
	now := time.Now()
	if r.last.IsZero() {
		r.credit = burst
		r.last = now
	}
	if n := int(now.Sub(r.last) / time.Second); n > 0 {
		r.credit = min(burst, r.credit+n)
		r.last = now
	}
	if r.credit == 0 {
		r.dropped++
		r.mu.Unlock()
		return
	}
	r.credit--
	dropped := r.dropped
	r.dropped = 0
	r.mu.Unlock()
	if dropped > 0 {
		args = append(args, "lines left out before", dropped)
	}
	r.log.Warn(text, args...)
}
