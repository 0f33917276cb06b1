//go:build linux

package alloc

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Region is a file that is mapped over memory of the Go heap.
type Region struct {
	bytes int
	lead  uintptr // bytes of the heap object before it

	mu sync.Mutex // guards the descriptor against Close
	fd int
}

// Bytes is its size, a multiple of that of a page.
func (r *Region) Bytes() int { return r.bytes }

// Pass calls use with the descriptor of the file. When that was closed the error is os.ErrClosed.
func (r *Region) Pass(use func(fd int) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return os.ErrClosed
	}
	return use(r.fd)
}

// Close closes the descriptor; the mapping keeps the memory. Once is enough.
func (r *Region) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd >= 0 {
		_ = unix.Close(r.fd) // of a file in memory: it does not fail
		r.fd = -1
	}
}

// detach maps pages of the file anew, so that what is written to them stays here.
func (r *Region) detach(pages []byte, at uintptr) error {
	return r.Pass(func(fd int) error { return mapOver(fd, int64(at), pages, unix.MAP_PRIVATE) })
}
