//go:build linux

package shm

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bell wakes the other end of a link, which parks in poll(2) on the socket that the link began
// with. Only who says in shared memory that it is parked is sent a byte.
type bell struct {
	fd     int
	theirs *shared
}

// publish writes what the other end may be parked for, behind all that was written before, and wakes it if
// it is. Who parks says so and looks once more, so that one of the two sees the other. But the processor may
// look here before others can see what was written: then both miss each other, and who parks finds what was
// written when it looks again, see Settled. A write that nothing overtakes would wait for the cache line, which
// the other end has as a rule, with each frame.
func (b *bell) publish(at *atomic.Uint64, v uint64, why uint32) {
	storeRelease(at, v)
	b.ring(why)
}

// ring wakes the other end if it is parked for what was written just before.
func (b *bell) ring(why uint32) {
	if b.theirs.parked.Load()&why != 0 {
		b.send()
	}
}

// send sends the byte, once for each time that the other end has parked. A socket that has no room
// is readable anyway, and behind a broken one there is nobody to wake.
func (b *bell) send() {
	if b.theirs.parked.Swap(0) == 0 || b.fd < 0 {
		return
	}
	one := [1]byte{mailWake}
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(b.fd), uintptr(unsafe.Pointer(&one)),
			1, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return
		}
	}
}
