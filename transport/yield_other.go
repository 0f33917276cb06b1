//go:build !linux

package transport

import "runtime"

// yieldCore lets other goroutines run, which is the most that can be asked for here.
func yieldCore() { runtime.Gosched() }
