//go:build linux

package shm

import "sync/atomic"

// storeRelease writes v behind all that was written before it, as this processor does with every write.
// atomic.Uint64's Store waits, besides, until others can see it.
//
//go:noescape
func storeRelease(p *atomic.Uint64, v uint64)
