//go:build linux

package shm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// bell wakes the other end of a link, which parks in poll(2) on the socket that the link began
// with. Only who says in shared memory that it is parked is sent a byte.
type bell struct {
	fd     int
	theirs *shared
}

// ring is called after something was written that the other end may be parked for. The atomic
// write before and the read here are in one order with those of its announce and second look: one
// of the two ends sees the other.
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
