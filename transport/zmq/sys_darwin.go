package zmq

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if err != nil && !errors.As(err, &errno) {
		return unix.EIO
	}
	return errno
}

// recvSmall reads into p, which has at most idleBytes.
func recvSmall(fd int, p []byte) (int, unix.Errno) {
	n, err := unix.Read(fd, p)
	return n, errnoOf(err)
}

// recv reads into a, and when that is full into b.
func recv(fd int, a, b []byte) (int, unix.Errno) {
	if len(b) == 0 {
		n, err := unix.Read(fd, a)
		return n, errnoOf(err)
	}
	n, err := unix.Readv(fd, [][]byte{a, b})
	return n, errnoOf(err)
}

// message is the memory of a system call that sends: nothing, here.
type message struct{}

// sendParts sends the parts, or their first bytes, without waiting. Go's runtime takes the signal
// that a broken connection gives.
func sendParts(fd int, parts *[3][]byte, _ *message) (int, unix.Errno) {
	n, err := unix.Writev(fd, parts[:])
	return n, errnoOf(err)
}

// listenUnix listens on a path in a directory that only this user can enter. The function removes
// it.
func listenUnix(name string) (net.Listener, func() error, error) {
	dir, err := os.MkdirTemp("", "tutti-")
	if err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("unix", filepath.Join(dir, name[:min(len(name), 8)]))
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, func() error { return os.RemoveAll(dir) }, nil
}

// setUserTimeout bounds how long sent bytes may stay unacknowledged.
func setUserTimeout(fd uintptr, d time.Duration) error {
	const rxtConnDropTime = 0x80 // TCP_RXT_CONNDROPTIME of netinet/tcp.h, seconds
	return os.NewSyscallError("setsockopt TCP_RXT_CONNDROPTIME",
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, rxtConnDropTime, max(1, int(d.Seconds()))))
}

// unsent is how many bytes a TCP connection has yet to send, or has sent, that the other end has
// not acknowledged (SO_NWRITE, getsockopt(2)).
func unsent(fd int) (int, error) {
	const soNWrite = 0x1024
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, soNWrite)
}
