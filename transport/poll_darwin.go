package transport

import (
	"time"

	"golang.org/x/sys/unix"
)

// Poll waits for the descriptors until the time left is over; negative is for ever.
func Poll(fds []unix.PollFd, left time.Duration) (int, error) {
	ms := -1
	if left >= 0 {
		ms = int((left + time.Millisecond - 1) / time.Millisecond)
	}
	return unix.Poll(fds, ms)
}
