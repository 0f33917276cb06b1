//go:build linux || darwin

package attach

import (
	"context"
	"time"
)

// Tries paces a dial that is tried again: after a pause, then after twice as long each time, up to
// the longest one.
type Tries struct {
	pause, longest time.Duration
	until          time.Time // zero: until the context ends
}

// NewTries begins a dial. It is tried again until ctx ends or, when that has no deadline, for some
// time.
func NewTries(ctx context.Context, pause, longest, patient time.Duration) *Tries {
	t := &Tries{pause: pause, longest: longest}
	if _, bounded := ctx.Deadline(); !bounded {
		t.until = time.Now().Add(patient)
	}
	return t
}

// Again waits until it is time for another try, false when there is to be none.
func (t *Tries) Again(ctx context.Context) bool {
	if ctx.Err() != nil || !t.until.IsZero() && time.Now().After(t.until) {
		return false
	}
	pause := time.NewTimer(t.pause)
	defer pause.Stop()
	t.pause = min(2*t.pause, t.longest)
	select {
	case <-pause.C:
		return true
	case <-ctx.Done():
		return false
	}
}
