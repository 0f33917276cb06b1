//go:build linux || darwin

package zmq

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// lingerQuiet is how long linger waits before it says so.
const lingerQuiet = time.Second

// lingerPause is how often linger looks: nothing tells when the other end has acknowledged.
const lingerPause = 5 * time.Millisecond

// linger ends the sending on all links and waits, for a while, until the systems at the other ends
// have all that was sent. It goes on reading meanwhile: what arrives at a connection that does not
// read resets it, and a reset throws away what is still to be sent. What the other end's system has
// survives a reset. The turn is held.
func (e *endpoint) linger(links []*link) {
	begin := time.Now()
	said := false
	sink := make([]byte, idleBytes)
	var waiting []*link
	for _, l := range links {
		if !l.closed && !(l.local && l.flushed()) {
			waiting = append(waiting, l)
		}
	}
	for time.Since(begin) < e.c.Linger {
		if !said && len(waiting) > 0 && time.Since(begin) >= lingerQuiet {
			said = true
			e.log.Warn("zmq: closing: peers have yet to read what was sent to them", "rank", e.c.Rank,
				"peers", attach.PeersOf(waiting), "since", begin, "until", begin.Add(e.c.Linger))
		}
		left := waiting[:0]
		fds := make([]unix.PollFd, 0, len(waiting))
		for _, l := range waiting {
			if !l.arrived(sink) {
				left = append(left, l)
				events := int16(unix.POLLIN)
				if l.out.waiting() {
					events |= unix.POLLOUT
				}
				fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: events})
			}
		}
		if waiting = left; len(waiting) == 0 {
			return
		}
		_, _ = transport.Poll(fds, lingerPause) // an interrupted one is as good
	}
}

// flushed hands what Send has taken to the system, ends the sending once that has all of it, and tells
// whether it has: or never will, since the connection is broken.
func (l *link) flushed() bool {
	l.out.flush()
	if l.out.waiting() && l.out.err == nil {
		return false
	}
	_ = unix.Shutdown(l.fd, unix.SHUT_WR) // close finds out what is wrong with it
	return true
}

// arrived reads and throws away what is here, and tells whether there is nothing to wait for: all
// has been acknowledged, or the connection is gone.
func (l *link) arrived(sink []byte) bool {
	for {
		n, errno := recvSmall(l.fd, sink)
		if n > 0 && errno == 0 {
			continue
		}
		if errno == unix.EINTR {
			continue
		}
		if errno != unix.EAGAIN {
			return true
		}
		if !l.flushed() {
			return false
		}
		if l.local {
			return true // what was sent is with the other end already
		}
		n, err := unsent(l.fd)
		return err != nil || n == 0
	}
}
