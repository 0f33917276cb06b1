//go:build linux && !amd64 && !arm64

package shm

import "unsafe"

func prefetchWrite(unsafe.Pointer) {}
