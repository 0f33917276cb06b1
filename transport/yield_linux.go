package transport

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// YieldThread lets other goroutines and then other threads run: ranks are processes that share
// cores, and the one that this rank waits for may be waiting for this core.
func YieldThread() {
	runtime.Gosched()
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // never fails (sched_yield(2))
}
