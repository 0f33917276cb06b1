//go:build linux && !amd64

package shm

import "sync/atomic"

// storeRelease writes v behind all that was written before it.
func storeRelease(p *atomic.Uint64, v uint64) { p.Store(v) }
