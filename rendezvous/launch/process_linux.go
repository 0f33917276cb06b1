package launch

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes put a rank into a process group of its own, and let the kernel kill it when the thread
// that started it ends, as all threads do when the launcher is killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit blocks until the process has ended, and leaves it to be reaped; false means that it
// could not.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// killGroup signals all processes of a group; that it has none left is no failure.
func killGroup(pgid int, s syscall.Signal) { _ = syscall.Kill(-pgid, s) }
