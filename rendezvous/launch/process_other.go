//go:build unix && !linux

package launch

import "syscall"

// attributes put a rank into a process group of its own.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitExit says that there is no portable way to await an end without reaping the process.
func awaitExit(int) bool { return false }

// killGroup signals all processes of a group; that it has none left is no failure.
func killGroup(pgid int, s syscall.Signal) { _ = syscall.Kill(-pgid, s) }
