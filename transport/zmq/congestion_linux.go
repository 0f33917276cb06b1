package zmq

import (
	"strings"
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
// 100 Mbit/s it loses a quarter of the throughput by it, inside a host up to half. Over long
// distances the system's choice stays: there bbr has its point. It is no loss where the system
// refuses.
func fillBothWays(fd uintptr) {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || time.Duration(info.Rtt)*time.Microsecond >= nearby {
		return
	}
	now, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	if err != nil || !strings.HasPrefix(now, "bbr") {
		return
	}
	for _, name := range []string{"cubic", "reno"} {
		if unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name) == nil {
			return
		}
	}
}
