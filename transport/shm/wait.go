//go:build linux

package shm

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// wakeup ends a Wait from another goroutine of this process. Writing to its descriptor is left out
// while nobody is parked.
type wakeup struct {
	rung   atomic.Bool // a wake-up that no Wait has seen
	parked atomic.Bool
	mu     sync.Mutex // guards the descriptor against close
	fd     int
}

func newWakeup() (*wakeup, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &wakeup{fd: fd}, nil
}

func (u *wakeup) ring() {
	if u.rung.Swap(true) || !u.parked.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.fd < 0 {
		return
	}
	for {
		// EAGAIN says that the descriptor is readable anyway.
		if _, err := unix.Write(u.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != unix.EINTR {
			return
		}
	}
}

// drain makes the descriptor unreadable.
func (u *wakeup) drain() {
	var b [8]byte
	for {
		if _, err := unix.Read(u.fd, b[:]); err != unix.EINTR {
			return
		}
	}
}

func (u *wakeup) close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	fd := u.fd
	u.fd = -1
	return unix.Close(fd)
}

// Wait parks the calling thread in poll(2), on the sockets of all links: a byte on one says that
// something was written to its segment, its end that the other process has ended. A futex would
// wake a little sooner (8 against 11 microseconds), but not hear of a death, and not wait for
// another driver as well.
func (e *endpoint) Wait(deadline time.Time) { e.parking.Wait(deadline) }

var _ transport.Parker = (*endpoint)(nil)

// Prepare tells the other ends that this one is parked, and then looks once more: see bell.ring.
func (e *endpoint) Prepare(fds []unix.PollFd) ([]unix.PollFd, bool) {
	e.turn.Lock() // until Resume; Close rings before it asks for the turn
	first := len(fds)
	if e.closing.Load() || e.wake.rung.Swap(false) {
		e.turn.Unlock()
		return fds, false
	}
	e.enlisted()
	e.wake.parked.Store(true)
	fds = append(fds, unix.PollFd{Fd: int32(e.wake.fd), Events: unix.POLLIN})
	fresh := e.wake.rung.Load()
	for _, l := range e.links {
		l.pollAt = -1
		if fresh = fresh || l.fresh(); fresh {
			break
		}
		if l.ended { // its socket would always be ready
			continue
		}
		l.announce()
		l.pollAt = len(fds) - first
		fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
	}
	for _, l := range e.links {
		fresh = fresh || l.fresh()
	}
	if fresh {
		e.resume(nil)
		return fds[:first], false
	}
	return fds, true
}

// Resume ends what Prepare has begun.
func (e *endpoint) Resume(fds []unix.PollFd) { e.resume(fds) }

func (e *endpoint) resume(fds []unix.PollFd) {
	e.wake.parked.Store(false)
	e.wake.rung.Store(false)
	if len(fds) > 0 && fds[0].Revents != 0 {
		e.wake.drain()
	}
	for _, l := range e.links {
		if l.pollAt < 0 {
			continue
		}
		l.seg.mine.parked.Store(0)
		if l.pollAt < len(fds) && fds[l.pollAt].Revents != 0 {
			l.ended = !l.hear()
		}
		l.pollAt = -1
	}
	e.turn.Unlock()
}

// announce tells the other end what was taken, and that this end parks.
func (l *link) announce() {
	if l.inErr == nil {
		l.in.tell()
	}
	l.tidy()
	why := uint32(parkedForFrames)
	if l.out.wanting() {
		why |= parkedForRoom
	}
	l.seg.mine.parked.Store(why)
}

// fresh tells whether there is something that the caller has not asked for.
func (l *link) fresh() bool {
	return l.ended && !l.in.reported || l.in.fresh() || l.out.fresh() ||
		l.out.err != nil && l.outErr == nil
}
