package zmq

import (
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nearby is the round trip below which two hosts count as on one site.
const nearby = 2 * time.Millisecond

// fillBothWays sees to it that a connection on one site can be full in both directions at once, as
// those of a collective are. Where the system's choice of congestion control is bbr, it takes
// cubic or, where that is not allowed, reno, which every Linux allows to everybody. bbr keeps no
// more on its way than twice what the shortest round trip of the last ten seconds needs; but a
// full link in the other direction makes acknowledgements wait far longer than that. On a link of
// 100 Mbit/s it loses a quarter of the throughput by it, inside a host up to half. It is no loss where
// the system refuses.
//
// The socket must not be connected yet. Once bbr has had a connection the system paces it for good,
// whatever comes after bbr: sending takes a timer for every 64 KiB then, which doubles what it costs.
func fillBothWays(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		if !isBBR(congestion(int(fd))) {
			return
		}
		for _, name := range []string{"cubic", "reno"} {
			if setCongestion(int(fd), name) == nil {
				return
			}
		}
	})
}

// goFar gives a connection over a long distance the system's choice of congestion control again: there
// bbr has its point.
func goFar(fd int, roundTrip time.Duration) {
	if roundTrip < nearby {
		return
	}
	fresh, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	if name := congestion(fresh); isBBR(name) {
		_ = setCongestion(fd, name) // what it has is no loss
	}
	_ = unix.Close(fresh)
}

// roundTrip is how long the connection's packets have taken there and back, 0 if it is not known.
func roundTrip(fd int) time.Duration {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0
	}
	return time.Duration(info.Rtt) * time.Microsecond
}

func isBBR(name string) bool { return strings.HasPrefix(name, "bbr") }

// congestion is the name of a socket's congestion control, "" if it has none.
func congestion(fd int) string {
	name, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil {
		return ""
	}
	return name
}

func setCongestion(fd int, name string) error {
	return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
}
