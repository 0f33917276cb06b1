//go:build ibverbs && cgo && linux

package ibverbs

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// lingerQuiet is how long linger waits before it says so.
const lingerQuiet = time.Second

// linger waits, for a while, until the devices at the other ends have acknowledged all that was
// sent, the goodbye last. Nothing of that needs their processes, as long as these have room or have
// ended. The turn is held.
func (e *endpoint) linger() {
	begin := time.Now()
	said := false
	for {
		e.poll()
		for _, l := range slices.Clone(e.leaving) {
			l.listen() // an end that has gone acknowledges nothing
			if l.ended {
				l.leaveQuietly()
			}
		}
		left := e.c.Linger - time.Since(begin)
		if len(e.leaving) == 0 || left <= 0 {
			return
		}
		if !said && time.Since(begin) >= lingerQuiet {
			said = true
			e.log.Warn("ibverbs: closing: what was sent is not acknowledged yet", "rank", e.c.Rank,
				"peers", attach.PeersOf(e.leaving), "since", begin, "until", begin.Add(e.c.Linger))
		}
		e.lingerPark(min(left, lingerQuiet))
	}
}

// lingerPark waits for a completion, or the end of a connection.
func (e *endpoint) lingerPark(left time.Duration) {
	e.device.events()
	if e.device.arm() != nil {
		return
	}
	e.armed = true
	e.poll()
	fds := []unix.PollFd{{Fd: e.device.channelFD(), Events: unix.POLLIN}}
	for _, l := range e.leaving {
		fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
	}
	if len(fds) > 1 {
		_, _ = transport.Poll(fds, left) // an interrupted one is as good
	}
}
