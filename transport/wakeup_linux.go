package transport

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// wakeupEnds returns the two ends of a wake-up, here one descriptor.
func wakeupEnds() (read, write int, err error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, -1, fmt.Errorf("eventfd: %w", err)
	}
	return fd, fd, nil
}

// wakeupBytes is what a write to an eventfd adds to its counter.
var wakeupBytes = []byte{1, 0, 0, 0, 0, 0, 0, 0}
