//go:build linux || darwin

package zmq

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
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

// Wait parks the calling thread in poll(2).
func (e *endpoint) Wait(deadline time.Time) { e.parking.Wait(deadline) }

var _ transport.Parker = (*endpoint)(nil)

// Prepare appends the descriptors to wait for, unless there is no need to wait.
func (e *endpoint) Prepare(fds []unix.PollFd) ([]unix.PollFd, bool) {
	e.turn.Lock() // until Resume; Close rings before it asks for the turn
	if e.closing.Load() || e.wake.rung.Swap(false) {
		e.turn.Unlock()
		return fds, false
	}
	first := len(fds)
	fds, fresh := e.descriptors(fds)
	e.wake.parked.Store(!fresh)
	if fresh || e.wake.rung.Load() {
		e.Resume(nil)
		return fds[:first], false
	}
	return fds, true
}

// Resume ends what Prepare has begun.
func (e *endpoint) Resume(fds []unix.PollFd) {
	if len(fds) > 0 && fds[0].Revents != 0 {
		e.wake.drain()
	}
	e.wake.parked.Store(false)
	e.wake.rung.Store(false)
	e.turn.Unlock()
}

// descriptors appends what to wait for, and tells whether there is no need to.
func (e *endpoint) descriptors(fds []unix.PollFd) (_ []unix.PollFd, fresh bool) {
	e.enlisted()
	fds = append(fds, unix.PollFd{Fd: int32(e.wake.r), Events: unix.POLLIN})
	for _, l := range e.links {
		if l.in.fresh() || l.out.err != nil && l.outErr == nil {
			return fds, true
		}
		events := int16(0)
		if !l.in.reported {
			events = unix.POLLIN
		}
		if l.out.waiting() {
			events |= unix.POLLOUT
		}
		if events != 0 { // a broken connection is always ready: it must not be asked for nothing
			fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: events})
		}
	}
	return fds, false
}
