//go:build linux || darwin

package transport

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Wakeup is what ends the Wait of a Parker from another goroutine of its process: a descriptor among
// those that Wait polls. Writing to it is left out while nobody is parked.
type Wakeup struct {
	rung   atomic.Bool // a ring that no Wait has seen
	parked atomic.Bool
	mu     sync.Mutex // guards the descriptors against Close
	r, w   int
}

// NewWakeup makes one. The error is the system's, as when the process has too many open files.
func NewWakeup() (*Wakeup, error) {
	r, w, err := wakeupEnds()
	if err != nil {
		return nil, err
	}
	return &Wakeup{r: r, w: w}, nil
}

// Ring ends the Wait under way, or the next one. Any goroutine may call it, after Close too.
func (u *Wakeup) Ring() {
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

// Rung reports whether there was a Ring that no Wait has seen, and takes it for seen.
func (u *Wakeup) Rung() bool { return u.rung.Swap(false) }

// Prepare begins a Wait: it appends the descriptor to those to poll; false says that there was a Ring
// already. Resume ends the Wait in either case.
func (u *Wakeup) Prepare(fds []unix.PollFd) ([]unix.PollFd, bool) {
	u.parked.Store(true)
	return append(fds, unix.PollFd{Fd: int32(u.r), Events: unix.POLLIN}), !u.rung.Load()
}

// Resume ends a Wait. polled is what Prepare has appended, as poll has left it: nothing when there was
// no poll.
func (u *Wakeup) Resume(polled unix.PollFd) {
	u.parked.Store(false)
	u.rung.Store(false)
	if polled.Revents == 0 {
		return
	}
	var b [64]byte // makes the descriptor unreadable
	for {
		if _, err := unix.Read(u.r, b[:]); err != unix.EINTR {
			return
		}
	}
}

// Close closes the descriptors. No Wait may be under way.
func (u *Wakeup) Close() error {
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
