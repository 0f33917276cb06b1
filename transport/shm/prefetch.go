//go:build linux && (amd64 || arm64)

package shm

import "unsafe"

// prefetchWrite has the processor fetch the cache line at p to be written, as a rule from the other
// end's cache, without waiting for it.
//
//go:noescape
func prefetchWrite(p unsafe.Pointer)
