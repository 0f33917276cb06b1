//go:build !linux

package transport

import "runtime"

// YieldThread lets other goroutines run.
func YieldThread() { runtime.Gosched() }
