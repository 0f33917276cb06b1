//go:build linux

package shm

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
)

const (
	// regionMin is from where on memory of Alloc is shared: smaller payloads are copied anyway, and a
	// region takes a descriptor.
	regionMin = 64 << 10
	hugeBytes = 2 << 20
)

// region is memory of Alloc: a file without a name, mapped over memory of the Go heap. So it stays
// garbage-collected, and nobody who still points to it can be left without memory: when nothing does,
// or Free is called, ordinary memory takes its place again.
type region struct {
	number uint32 // of this endpoint's, from 1
	bytes  int
	lead   uintptr // bytes of the heap object before it

	mu   sync.Mutex // guards the descriptor against close
	fd   int
	gone atomic.Bool
}

// stretch is a run of addresses that peers see: a region, or a part that Reclaim has left of one.
type stretch struct {
	lo, hi uintptr
	at     uintptr // where in the region's file
	of     *region
}

// regions is what an endpoint shares.
type regions struct {
	mu     sync.Mutex // taken to change anything
	last   uint32
	closed bool
	list   atomic.Pointer[[]stretch] // by address; never changed, but replaced
	freed  atomic.Uint32             // how many regions have gone
}

// find returns the region of b, and where in its file b lies; nil when b is not in one stretch.
func (g *regions) find(b []byte) (*region, uint64) {
	list := g.list.Load()
	if list == nil {
		return nil, 0
	}
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	for i := range *list {
		if s := &(*list)[i]; lo < s.hi {
			if lo < s.lo || lo+uintptr(len(b)) > s.hi {
				return nil, 0
			}
			return s.of, uint64(lo - s.lo + s.at)
		}
	}
	return nil, 0
}

// Alloc returns memory that peers can see.
func (e *endpoint) Alloc(n int) ([]byte, error) {
	if n >= regionMin {
		b, err := e.regions.alloc(n)
		if err != nil {
			e.log.Warn("shm: no memory for peers to see: it is copied", "rank", e.c.Rank, "bytes", n,
				"error", err, "remedy", remedy(err))
		}
		return b, err
	}
	b := make([]byte, n+lineBytes-1)
	lead := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (lineBytes - 1))
	return b[lead : lead+n : lead+n], nil
}

func (g *regions) alloc(n int) ([]byte, error) {
	align := os.Getpagesize()
	if n >= hugeBytes {
		align = hugeBytes
	}
	size := (n + align - 1) &^ (align - 1)
	heap := make([]byte, size+align)
	base := unsafe.Pointer(unsafe.SliceData(heap))
	lead := -uintptr(base) & uintptr(align-1)
	b := heap[lead : int(lead)+size]
	fd, err := createFile("tutti-alloc", size)
	if err == nil {
		err = mapOver(fd, 0, b, unix.MAP_SHARED)
		if err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("shm: memory for peers to see: %w", err)
	}
	if align == hugeBytes {
		_ = unix.Madvise(b, madvCollapse) // faster where the system can; as good as before where not
	}
	r := &region{bytes: size, lead: lead, fd: fd}
	if !g.add(r, b) {
		return b[:n:n], errors.Join(unix.Close(fd)) // nobody to share it with: it stays as it is
	}
	runtime.SetFinalizer((*byte)(base), func(base *byte) { g.dissolve(r, unsafe.Pointer(base)) })
	return b[:n:n], nil
}

// madvCollapse is MADV_COLLAPSE (Linux 6.1).
const madvCollapse = 25

// add enters a region, false when the endpoint has closed.
func (g *regions) add(r *region, b []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.last++
	r.number = g.last
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	g.replace(func(list []stretch) []stretch {
		return append(list, stretch{lo: lo, hi: lo + uintptr(len(b)), of: r})
	})
	return true
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
	r, at := g.find(b[:min(1, len(b))])
	if r == nil || at != 0 {
		return
	}
	base := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -int(r.lead))
	runtime.SetFinalizer((*byte)(base), nil)
	g.dissolve(r, base)
}

// dissolve puts ordinary memory in the place of a region. Peers keep what they have mapped until they
// hear of it.
func (g *regions) dissolve(r *region, base unsafe.Pointer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replace(func(list []stretch) []stretch {
		return slices.DeleteFunc(list, func(s stretch) bool { return s.of == r })
	})
	b := unsafe.Slice((*byte)(unsafe.Add(base, r.lead)), r.bytes)
	// Where the system has no room for one mapping more, the memory stays what it is.
	_ = mapOver(-1, 0, b, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	r.close()
	g.freed.Add(1)
}

// detach makes the pages of b this process's own, at once and with what they hold: from now on a
// write of this process goes to a copy, and peers go on seeing the old bytes.
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

// pass calls send with the descriptor, unless the region has gone.
func (r *region) pass(send func(fd int) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return os.ErrClosed
	}
	return send(r.fd)
}

func (r *region) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone.Store(true)
	if r.fd >= 0 {
		_ = unix.Close(r.fd) // the mapping keeps the memory
		r.fd = -1
	}
}

// close ends all sharing. The memory stays with who points to it.
func (g *regions) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if list := g.list.Load(); list != nil {
		for i := range *list {
			(*list)[i].of.close()
		}
	}
	g.list.Store(nil)
}
