package attach

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespace is the same for all processes: there are no network namespaces.
func Namespace() string { return "" }

// bootID is the same for all processes of one host.
func bootID() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

// peerUser returns the user of the process at the other end of a Unix socket.
func peerUser(c syscall.RawConn) (uint32, error) {
	var cred *unix.Xucred
	var err error
	if e := c.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptXucred(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	}); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, os.NewSyscallError("getsockopt LOCAL_PEERCRED", err)
	}
	return cred.Uid, nil
}
