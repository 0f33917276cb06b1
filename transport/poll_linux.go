package transport

import (
	"time"

	"golang.org/x/sys/unix"
)

// Poll waits for the descriptors until the time left is over; negative is for ever.
func Poll(fds []unix.PollFd, left time.Duration) (int, error) {
	if left < 0 {
		return unix.Ppoll(fds, nil, nil)
	}
	ts := unix.NsecToTimespec(int64(left))
	return unix.Ppoll(fds, &ts, nil)
}
