//go:build linux

package shm

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// Wait parks the calling thread in poll(2), on the sockets of all links: a byte on one says that
// something was written to its segment, its end that the other process has ended. A futex would
// wake a little sooner (8 against 11 microseconds), but not hear of a death, and not wait for
// another driver as well.
func (e *endpoint) Wait(deadline time.Time) { e.parking.Wait(deadline) }

var _ transport.Parker = (*endpoint)(nil)

// Prepare tells the other ends that this one is parked, and then looks once more: see bell.ring.
func (e *endpoint) Prepare(fds []unix.PollFd) ([]unix.PollFd, bool) {
	if !e.links.Hold() { // until Resume
		return fds, false
	}
	first := len(fds)
	fds, quiet := e.links.Wakeup.Prepare(fds)
	fresh := !quiet
	for _, l := range e.links.Known() {
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
	for _, l := range e.links.Known() {
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
	var wake unix.PollFd
	if len(fds) > 0 {
		wake = fds[0]
	}
	e.links.Wakeup.Resume(wake)
	for _, l := range e.links.Known() {
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
