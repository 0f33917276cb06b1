package zmq

import (
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// recvSmall reads into p, which has at most idleBytes. The call doesn't tell the scheduler: it
// never blocks, moves little, and is what a spinning caller does all the time (60 of 420 ns are
// saved).
func recvSmall(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// recv reads into a, and when that is full into b.
func recv(fd int, a, b []byte) (int, unix.Errno) {
	if len(b) == 0 {
		n, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(len(a)), unix.MSG_DONTWAIT, 0, 0)
		return int(n), errno
	}
	iov := [2]unix.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	iov[0].SetLen(len(a))
	iov[1].SetLen(len(b))
	n, _, errno := unix.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&iov)), 2)
	runtime.KeepAlive(&iov)
	return int(n), errno
}

// message is the memory of a system call that sends.
type message struct {
	iov    [3]unix.Iovec
	header unix.Msghdr
}

// sendParts sends the parts, or their first bytes, without waiting and without a signal. Small ones
// are not told to the scheduler, as in recvSmall.
func sendParts(fd int, parts *[3][]byte, m *message) (int, unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if len(parts[1])+len(parts[2]) == 0 && len(parts[0]) <= idleBytes {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(parts[0]))), uintptr(len(parts[0])), flags, 0, 0)
		return int(n), errno
	}
	count := 0
	for _, p := range parts {
		if len(p) > 0 {
			m.iov[count].Base = unsafe.SliceData(p)
			m.iov[count].SetLen(len(p))
			count++
		}
	}
	m.header.Iov = &m.iov[0]
	m.header.SetIovlen(count)
	n, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)),
		flags)
	m.iov = [3]unix.Iovec{} // lets go of the caller's memory
	return int(n), errno
}

// listenUnix listens on an abstract name: it goes with the process, whatever ends it.
func listenUnix(name string) (net.Listener, func() error, error) {
	l, err := net.Listen("unix", "@tutti-"+name)
	return l, func() error { return nil }, err
}

// setUserTimeout bounds how long sent bytes may stay unacknowledged.
func setUserTimeout(fd uintptr, d time.Duration) error {
	return os.NewSyscallError("setsockopt TCP_USER_TIMEOUT",
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds())))
}

// unsent is how many bytes a TCP connection has sent, or has yet to send, that the other end has
// not acknowledged (SIOCOUTQ, tcp(7)).
func unsent(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.SIOCOUTQ) }
