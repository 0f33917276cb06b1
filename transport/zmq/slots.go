//go:build linux || darwin

package zmq

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// slots are the places of connections in their handshake. Who is silent keeps its place for as long
// as nobody else needs it, and then gives way after its patience.
type slots struct {
	mu    sync.Mutex
	taken []*slot // by age
	freed chan struct{}
}

type slot struct {
	conn  net.Conn
	since time.Time
}

// take gives conn a place. It waits when there is none, at most until the oldest connection has
// had its patience.
func (s *slots) take(ctx context.Context, conn net.Conn) *slot {
	mine := &slot{conn: conn, since: time.Now()}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.freed == nil {
			s.freed = make(chan struct{}, 1)
		}
		if len(s.taken) < maxHandshakes {
			s.taken = append(s.taken, mine)
			s.mu.Unlock()
			return mine
		}
		oldest := s.taken[0]
		wait := time.Until(oldest.since.Add(patience))
		if wait <= 0 || ctx.Err() != nil {
			_ = oldest.conn.SetDeadline(time.Unix(1, 0)) // its handshake ends with an error
			s.taken = append(s.taken[1:], mine)
			s.mu.Unlock()
			return mine
		}
		s.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.freed:
		case <-ctx.Done():
		}
	}
}

func (s *slots) release(mine *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.taken, mine); i >= 0 {
		s.taken = slices.Delete(s.taken, i, i+1)
	}
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

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
