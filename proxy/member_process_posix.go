//go:build linux || darwin

package proxy

import (
	"errors"
	"syscall"
)

// noSuchProcess says whether nothing on this host has the id; an id that was given to another
// process meanwhile counts as alive.
func noSuchProcess(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
