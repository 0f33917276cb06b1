package rendezvous

import (
	"os"
	"strings"
)

// bootID is random for each boot of a kernel, and all containers on that kernel see the same.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}
