//go:build linux

package shm

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Commands of membarrier(2), Linux 4.16, which golang.org/x/sys does not name.
const (
	membarrierQuery    = 0
	membarrierAll      = 1 << 1 // MEMBARRIER_CMD_GLOBAL_EXPEDITED
	membarrierRegister = 1 << 2 // MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED
)

// barriers reports whether this process can have the system put a memory barrier into all processes that
// have asked for it, and has asked for it. The first call takes up to some 10 ms.
var barriers = sync.OnceValue(func() bool {
	const both = membarrierAll | membarrierRegister
	can, _, errno := unix.RawSyscall(unix.SYS_MEMBARRIER, membarrierQuery, 0, 0)
	if errno != 0 || can&both != both {
		return false
	}
	_, _, errno = unix.Syscall(unix.SYS_MEMBARRIER, membarrierRegister, 0, 0)
	return errno == 0
})

// barrier returns once every thread that runs, of all processes that have asked for it, has gone through a
// memory barrier. False says that the system has no memory to do it with now.
func barrier() bool {
	_, _, errno := unix.RawSyscall(unix.SYS_MEMBARRIER, membarrierAll, 0, 0)
	return errno == 0
}

// publish writes what the other end may be parked for, behind what was written before, and wakes it if it
// is. Who parks says so and looks once more, so one of the two must see what the other has written. That
// takes a barrier on both sides. Here it would be one for each frame, which waits until the processor has
// the cache line, from the other end as a rule; so who parks has the system make it for both, where it
// can. See Prepare.
func (b *bell) publish(at *atomic.Uint64, v uint64, why uint32) {
	if b.bare {
		storeRelease(at, v)
	} else {
		at.Store(v)
	}
	b.ring(why)
}
