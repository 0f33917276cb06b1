package transport

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// wakeupEnds returns the two ends of a wake-up.
func wakeupEnds() (read, write int, err error) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		return -1, -1, fmt.Errorf("pipe: %w", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			return -1, -1, fmt.Errorf("fcntl O_NONBLOCK: %w", err)
		}
	}
	return fds[0], fds[1], nil
}

var wakeupBytes = []byte{1}
