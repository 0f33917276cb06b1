package rendezvous

import "syscall"

// bootID is random for each boot.
func bootID() (string, error) { return syscall.Sysctl("kern.bootsessionuuid") }
