//go:build ibverbs && cgo && linux

package ibverbs

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

const (
	// regionMin is from where on memory of Alloc is registered: smaller payloads are copied anyway.
	regionMin = 64 << 10
	// lendMin is from where on a payload is sent from where it lies.
	lendMin   = 16 << 10
	hugeBytes = 2 << 20
)

// region is memory of Alloc: a file without a name, mapped over memory of the Go heap, and
// registered. So it stays garbage-collected, and nobody who still points to it can be left without
// memory: when nothing does, or Free is called, ordinary memory takes its place again. That it is a
// file lets Reclaim give pages back to their owner while the device still reads them.
type region struct {
	bytes int
	lead  uintptr // bytes of the heap object before it

	mu    sync.Mutex
	fd    int
	known *memory // what the device has of it
	uses  int     // work requests under way
	gone  bool    // it is ordinary memory, or the endpoint has closed
}

// stretch is a run of addresses that the device knows: a region, or a part that Reclaim has left of
// one.
type stretch struct {
	lo, hi uintptr
	at     uintptr // where in the region's file
	of     *region
}

// regions is the memory of an endpoint that its device knows.
type regions struct {
	device *device
	mu     sync.Mutex // taken to change anything
	closed bool
	all    map[*region]struct{}      // those that Reclaim has left nothing of, too
	list   atomic.Pointer[[]stretch] // by address; never changed, but replaced
}

// find returns the region of b, nil when b is not in one stretch.
func (g *regions) find(b []byte) *region {
	list := g.list.Load()
	if list == nil {
		return nil
	}
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	for i := range *list {
		if s := &(*list)[i]; lo < s.hi {
			if lo < s.lo || lo+uintptr(len(b)) > s.hi {
				return nil
			}
			return s.of
		}
	}
	return nil
}

var _ transport.Allocator = (*endpoint)(nil)

// Alloc returns memory that the device reads and writes where it lies.
func (e *endpoint) Alloc(n int) ([]byte, error) {
	if n < regionMin {
		return lines(n), nil
	}
	b, err := e.regions.alloc(n)
	if err != nil {
		e.log.Warn("ibverbs: no memory that the device knows: it is copied", "rank", e.c.Rank,
			"bytes", n, "error", err, "remedy", remedy(err))
	}
	return b, err
}

func (g *regions) alloc(n int) (_ []byte, err error) {
	align := os.Getpagesize()
	if n >= hugeBytes {
		align = hugeBytes
	}
	size := (n + align - 1) &^ (align - 1)
	heap := make([]byte, size+align)
	base := unsafe.Pointer(unsafe.SliceData(heap))
	lead := -uintptr(base) & uintptr(align-1)
	b := heap[lead : int(lead)+size]
	fd, err := createFile(size)
	if err == nil {
		if err = mapOver(fd, 0, b, unix.MAP_SHARED); err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ibverbs: memory that the device knows: %w", err)
	}
	if align == hugeBytes {
		_ = unix.Madvise(b, madvCollapse) // faster where the system can; as good as before where not
	}
	r := &region{bytes: size, lead: lead, fd: fd}
	added, err := g.add(r, b)
	if err != nil || !added {
		return b[:n:n], errors.Join(err, unix.Close(fd)) // it stays as it is
	}
	runtime.SetFinalizer((*byte)(base), func(base *byte) { g.dissolve(r, unsafe.Pointer(base)) })
	return b[:n:n], nil
}

// madvCollapse is MADV_COLLAPSE (Linux 6.1).
const madvCollapse = 25

// add registers a region, false when the endpoint has closed.
func (g *regions) add(r *region, b []byte) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false, nil
	}
	var err error
	if r.known, err = g.device.register(b, ownMemory); err != nil {
		return false, err
	}
	r.known.bytes = nil // it must not keep what it describes
	if g.all == nil {
		g.all = map[*region]struct{}{}
	}
	g.all[r] = struct{}{}
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	g.replace(func(list []stretch) []stretch {
		return append(list, stretch{lo: lo, hi: lo + uintptr(len(b)), of: r})
	})
	return true, nil
}

// replace changes the list. mu is held.
func (g *regions) replace(change func([]stretch) []stretch) {
	var list []stretch
	if old := g.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	slices.SortFunc(list, func(a, b stretch) int {
		if a.lo < b.lo {
			return -1
		}
		return 1
	})
	if len(list) == 0 {
		g.list.Store(nil)
		return
	}
	g.list.Store(&list)
}

// Free makes memory of Alloc ordinary memory.
func (e *endpoint) Free(b []byte) {
	g := &e.regions
	r := g.find(b[:min(1, len(b))])
	first := unsafe.Pointer(unsafe.SliceData(b))
	if r == nil || !g.begins(r, uintptr(first)) {
		return
	}
	base := unsafe.Add(first, -int(r.lead))
	runtime.SetFinalizer((*byte)(base), nil)
	g.dissolve(r, base)
}

// begins tells whether a region begins at an address.
func (g *regions) begins(r *region, at uintptr) bool {
	list := g.list.Load()
	return list != nil && slices.ContainsFunc(*list, func(s stretch) bool {
		return s.of == r && s.at == 0 && s.lo == at
	})
}

// dissolve puts ordinary memory in the place of a region. What the device still reads it keeps
// until it is through.
func (g *regions) dissolve(r *region, base unsafe.Pointer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.replace(func(list []stretch) []stretch {
			return slices.DeleteFunc(list, func(s stretch) bool { return s.of == r })
		})
	}
	b := unsafe.Slice((*byte)(unsafe.Add(base, r.lead)), r.bytes)
	// Where the system has no room for one mapping more, the memory stays what it is.
	_ = mapOver(-1, 0, b, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	r.end()
	delete(g.all, r)
}

// detach makes the pages of b this process's own, at once and with what they hold: from now on a
// write of this process goes to a copy, and the device goes on reading the old bytes.
func (g *regions) detach(b []byte) (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	page := uintptr(os.Getpagesize())
	first := unsafe.Pointer(unsafe.SliceData(b))
	lo := uintptr(first) &^ (page - 1)
	hi := (uintptr(first) + uintptr(len(b)) + page - 1) &^ (page - 1)
	g.replace(func(list []stretch) (rest []stretch) {
		for _, s := range list {
			cut, end := min(max(lo, s.lo), s.hi), min(max(hi, s.lo), s.hi)
			if cut == end {
				rest = append(rest, s)
				continue
			}
			pages := unsafe.Slice((*byte)(unsafe.Add(first, int(cut)-int(uintptr(first)))), end-cut)
			err = errors.Join(err, s.of.detach(pages, s.at+(cut-s.lo)))
			if s.lo < cut {
				rest = append(rest, stretch{s.lo, cut, s.at, s.of})
			}
			if end < s.hi {
				rest = append(rest, stretch{end, s.hi, s.at + (end - s.lo), s.of})
			}
		}
		return rest
	})
	return err
}

// detach maps pages of the file anew, so that what is written to them stays here.
func (r *region) detach(pages []byte, at uintptr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return nil // it is ordinary memory by now
	}
	return mapOver(r.fd, int64(at), pages, unix.MAP_PRIVATE)
}

// use and unuse stand around what the device does with the memory.
func (r *region) use() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses++
}

func (r *region) unuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses--
	r.forget()
}

// end lets the device forget the memory as soon as it has done with it.
func (r *region) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = true
	if r.fd >= 0 {
		_ = unix.Close(r.fd) // the mapping keeps the memory
		r.fd = -1
	}
	r.forget()
}

func (r *region) forget() {
	if r.gone && r.uses == 0 {
		_ = r.known.release() // of memory that nothing uses: it does not fail
	}
}

// close ends all. Nothing is under way. The memory stays with who points to it.
func (g *regions) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for r := range g.all {
		r.end()
	}
	g.all = nil
	g.list.Store(nil)
}

// createFile makes a file without a name, all of which is there.
func createFile(bytes int) (int, error) {
	fd, err := unix.MemfdCreate("tutti-ibverbs", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // a system before Linux 6.3
		fd, err = unix.MemfdCreate("tutti-ibverbs", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for {
		switch err := unix.Fallocate(fd, 0, 0, int64(bytes)); err {
		case nil:
			return fd, nil
		case unix.EINTR: // it begins anew
		default:
			return -1, errors.Join(os.NewSyscallError("fallocate", err), unix.Close(fd))
		}
	}
}

// mapOver puts a file, from at on, in the place of b, whole pages. It makes the call itself: the
// one of package unix turns the address that comes back into a pointer, which the race detector's
// checks of pointers take for one made of nothing.
func mapOver(fd int, at int64, b []byte, flags int) error {
	if flags&unix.MAP_SHARED != 0 {
		flags |= unix.MAP_POPULATE
	}
	_, _, errno := unix.Syscall6(unix.SYS_MMAP, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(len(b)), unix.PROT_READ|unix.PROT_WRITE, uintptr(flags|unix.MAP_FIXED), uintptr(fd),
		uintptr(at))
	if errno != 0 {
		return os.NewSyscallError("mmap", errno)
	}
	return nil
}
