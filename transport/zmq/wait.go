//go:build linux || darwin

package zmq

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// Wait parks the calling thread in poll(2).
func (e *endpoint) Wait(deadline time.Time) { e.parking.Wait(deadline) }

var _ transport.Parker = (*endpoint)(nil)

// Prepare appends the descriptors to wait for, unless there is no need to wait.
func (e *endpoint) Prepare(fds []unix.PollFd) ([]unix.PollFd, bool) {
	if !e.links.Hold() { // until Resume
		return fds, false
	}
	first := len(fds)
	fds, fresh := e.descriptors(fds)
	if fresh {
		e.Resume(nil)
		return fds[:first], false
	}
	return fds, true
}

// Resume ends what Prepare has begun.
func (e *endpoint) Resume(fds []unix.PollFd) {
	var wake unix.PollFd
	if len(fds) > 0 {
		wake = fds[0]
	}
	e.links.Wakeup.Resume(wake)
	e.turn.Unlock()
}

// descriptors appends what to wait for, and tells whether there is no need to.
func (e *endpoint) descriptors(fds []unix.PollFd) (_ []unix.PollFd, fresh bool) {
	fds, quiet := e.links.Wakeup.Prepare(fds)
	for _, l := range e.links.Known() {
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
	return fds, !quiet
}
