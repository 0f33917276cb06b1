//go:build !linux

package transport

// leaveCore would move the calling thread to another core: there is no way to do so here.
func leaveCore() {}
