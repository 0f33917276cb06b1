package ibverbs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lockLimit says how much memory this process may lock, where that is bounded.
func lockLimit() string {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil || limit.Cur > 1<<62 {
		return ""
	}
	return fmt.Sprintf(" (the limit is %d KiB now)", limit.Cur>>10)
}
