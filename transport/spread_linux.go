package transport

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// leaveCore moves the calling thread to another of its cores, and leaves it free to go anywhere. It
// is a hint: what goes wrong changes nothing.
func leaveCore() {
	runtime.LockOSThread() // both calls are about the same thread
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if unix.SchedGetaffinity(0, &all) != nil || all.Count() < 2 {
		return
	}
	var here uint32
	if _, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&here)), 0, 0); errno != 0 {
		return
	}
	others := all
	others.Clear(int(here))
	if unix.SchedSetaffinity(0, &others) == nil {
		_ = unix.SchedSetaffinity(0, &all)
	}
}
