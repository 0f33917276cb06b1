package attach

import (
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespace names the network namespace of this process, "" when it can't be told. Abstract Unix
// sockets and loopback addresses are reached inside one only.
func Namespace() string {
	s, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return ""
	}
	return s
}

// bootID is the same for all processes of one running kernel.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// peerUser returns the user of the process at the other end of a Unix socket.
func peerUser(c syscall.RawConn) (uint32, error) {
	var cred *unix.Ucred
	var err error
	if e := c.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); e != nil {
		return 0, e
	}
	if err != nil {
		return 0, os.NewSyscallError("getsockopt SO_PEERCRED", err)
	}
	return cred.Uid, nil
}
