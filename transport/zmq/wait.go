//go:build linux || darwin

package zmq

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// wakeup ends a Wait from another goroutine. Writing to its descriptor is left out while nobody is
// parked.
type wakeup struct {
	rung   atomic.Bool // a wake-up that no Wait has seen
	parked atomic.Bool
	mu     sync.Mutex // guards the descriptors against close
	r, w   int
}

func newWake() (*wakeup, error) {
	r, w, err := newWakeup()
	if err != nil {
		return nil, err
	}
	return &wakeup{r: r, w: w}, nil
}

func (u *wakeup) ring() {
	if u.rung.Swap(true) || !u.parked.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.w < 0 {
		return
	}
	for {
		// EAGAIN says that the descriptor is readable anyway.
		if _, err := unix.Write(u.w, wakeupBytes); err != unix.EINTR {
			return
		}
	}
}

// drain makes the descriptor unreadable.
func (u *wakeup) drain() {
	var b [64]byte
	for {
		if _, err := unix.Read(u.r, b[:]); err != unix.EINTR {
			return
		}
	}
}

func (u *wakeup) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	err := unix.Close(u.r)
	if u.w != u.r {
		if e := unix.Close(u.w); err == nil {
			err = e
		}
	}
	u.r, u.w = -1, -1
	return err
}

// Wait parks the calling thread in poll(2): that wakes faster than a goroutine parked in Go's
// network poller does, since no other thread stands between (BenchmarkParked has both).
func (e *endpoint) Wait(deadline time.Time) {
	// The turn is held while the thread is parked; Close rings before it asks for the turn.
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.closing.Load() || e.wake.rung.Swap(false) || e.preparePoll() {
		return
	}
	e.wake.parked.Store(true)
	if !e.wake.rung.Load() {
		e.poll(deadline)
	}
	e.wake.parked.Store(false)
	e.wake.rung.Store(false)
}

func (e *endpoint) poll(deadline time.Time) {
	for {
		left := time.Duration(-1)
		if !deadline.IsZero() {
			left = max(0, time.Until(deadline))
		}
		n, err := poll(e.fds, left)
		if err == unix.EINTR {
			continue
		}
		if n > 0 && e.fds[0].Revents != 0 {
			e.wake.drain()
		}
		return
	}
}

// preparePoll fills in what to wait for, and tells whether there is no need to.
func (e *endpoint) preparePoll() bool {
	e.enlisted()
	e.fds = e.fds[:0]
	e.fds = append(e.fds, unix.PollFd{Fd: int32(e.wake.r), Events: unix.POLLIN})
	for _, l := range e.links {
		if l.in.fresh() || l.out.err != nil && l.outErr == nil {
			return true
		}
		events := int16(0)
		if !l.in.reported {
			events = unix.POLLIN
		}
		if l.out.waiting() {
			events |= unix.POLLOUT
		}
		if events != 0 { // a broken connection is always ready: it must not be asked for nothing
			e.fds = append(e.fds, unix.PollFd{Fd: int32(l.fd), Events: events})
		}
	}
	return false
}
