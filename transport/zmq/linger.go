//go:build linux || darwin

package zmq

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// lingerPause is how often linger looks: nothing tells when the other end has acknowledged.
const lingerPause = 5 * time.Millisecond

// linger ends the sending on all links and waits, for a while, until the systems at the other ends
// have all that was sent. It goes on reading meanwhile: what arrives at a connection that does not
// read resets it, and a reset throws away what is still to be sent. What the other end's system has
// survives a reset. The turn is held.
func linger(links []*link) {
	end := time.Now().Add(lingerSeconds * time.Second)
	sink := make([]byte, idleBytes)
	var waiting []*link
	for _, l := range links {
		if l.local || l.closed {
			continue
		}
		l.out.flush()
		_ = unix.Shutdown(l.fd, unix.SHUT_WR) // close finds out what is wrong with it
		l.settled = true
		waiting = append(waiting, l)
	}
	for time.Now().Before(end) {
		left := waiting[:0]
		fds := make([]unix.PollFd, 0, len(waiting))
		for _, l := range waiting {
			if !l.arrived(sink) {
				left = append(left, l)
				fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
			}
		}
		if waiting = left; len(waiting) == 0 {
			return
		}
		_, _ = transport.Poll(fds, lingerPause) // an interrupted one is as good
	}
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
		n, err := unsent(l.fd)
		return err != nil || n == 0
	}
}
