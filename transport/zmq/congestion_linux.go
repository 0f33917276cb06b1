package zmq

import (
	"net"

	"golang.org/x/sys/unix"
)

// insideHost tells whether both ends of a connection are on this host.
func insideHost(conn net.Conn) bool {
	local, ok := conn.LocalAddr().(*net.TCPAddr)
	remote, ok2 := conn.RemoteAddr().(*net.TCPAddr)
	return ok && ok2 && (remote.IP.IsLoopback() || remote.IP.Equal(local.IP))
}

// uncongested takes the connection's congestion control down to the plainest, which every Linux
// allows to everybody. Inside one host there is no congestion; but where the system's choice is bbr it
// paces by timers there too, which costs up to half of the throughput of messages beyond 1 MiB. It is
// no loss where the system refuses.
func uncongested(fd uintptr) {
	_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
}
