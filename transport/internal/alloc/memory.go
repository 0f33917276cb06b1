//go:build linux

package alloc

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
	// Min is from where on memory is a region, in bytes: smaller payloads are copied anyway, and a
	// region takes a descriptor.
	Min       = 64 << 10
	hugeBytes = 2 << 20
	lineBytes = 64
)

// madvCollapse is MADV_COLLAPSE (Linux 6.1).
const madvCollapse = 25

// Memory is the memory of one endpoint. T is what its driver has of a region. All methods may be
// called by any goroutine.
type Memory[T any] struct {
	Name string // of the files
	What string // the memory is, for errors
	// Enter is told of a region that comes, and of its memory, which what it returns must not keep.
	Enter func(r *Region, b []byte) (T, error)
	// Leave is told once that it is a region no more: it closes it, sooner or later.
	Leave func(T)

	mu     sync.Mutex // taken to change anything
	closed bool
	all    map[*Region]T                // those that Detach has left nothing of, too
	list   atomic.Pointer[[]stretch[T]] // by address; never changed, but replaced
}

// stretch is a run of addresses in a region: all of it, or a part that Detach has left.
type stretch[T any] struct {
	lo, hi uintptr
	at     uintptr // where in the region's file
	of     *Region
	own    T
}

// Find returns what the driver has of b's region, and where in the region's file b lies; nothing
// when b is not in one stretch.
func (g *Memory[T]) Find(b []byte) (own T, at uint64) {
	if s := g.find(b); s != nil {
		return s.own, uint64(address(b) - s.lo + s.at)
	}
	return own, 0
}

func (g *Memory[T]) find(b []byte) *stretch[T] {
	list := g.list.Load()
	if list == nil {
		return nil
	}
	lo := address(b)
	for i := range *list {
		if s := &(*list)[i]; lo < s.hi {
			if lo < s.lo || lo+uintptr(len(b)) > s.hi {
				return nil
			}
			return s
		}
	}
	return nil
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// Aligned returns n bytes that begin at a multiple of 64.
func Aligned(n int) []byte {
	b := make([]byte, n+lineBytes-1)
	lead := int(-address(b) & (lineBytes - 1))
	return b[lead : lead+n : lead+n]
}

// Alloc returns n bytes, ordinary ones when they are few, or when Close was called.
func (g *Memory[T]) Alloc(n int) ([]byte, error) {
	if n < Min {
		return Aligned(n), nil
	}
	align := os.Getpagesize()
	if n >= hugeBytes {
		align = hugeBytes
	}
	size := (n + align - 1) &^ (align - 1)
	heap := make([]byte, size+align)
	base := unsafe.Pointer(unsafe.SliceData(heap))
	lead := -uintptr(base) & uintptr(align-1)
	b := heap[lead : int(lead)+size]
	fd, err := CreateFile(g.Name, size)
	if err == nil {
		if err = mapOver(fd, 0, b, unix.MAP_SHARED); err != nil {
			restore(base, b)
			err = errors.Join(err, unix.Close(fd))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.What, err)
	}
	if align == hugeBytes {
		_ = unix.Madvise(b, madvCollapse) // faster where the system can; as good as before where not
	}
	r := &Region{bytes: size, lead: lead, fd: fd}
	added, err := g.add(r, b)
	if err != nil || !added {
		restore(base, b)
		return b[:n:n], errors.Join(err, unix.Close(fd))
	}
	runtime.SetFinalizer((*byte)(base), func(base *byte) { g.dissolve(r, unsafe.Pointer(base)) })
	return b[:n:n], nil
}

// add enters a region, false when there are to be none.
func (g *Memory[T]) add(r *Region, b []byte) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false, nil
	}
	own, err := g.Enter(r, b)
	if err != nil {
		return false, err
	}
	if g.all == nil {
		g.all = map[*Region]T{}
	}
	g.all[r] = own
	g.replace(func(list []stretch[T]) []stretch[T] {
		return append(list, stretch[T]{address(b), address(b) + uintptr(len(b)), 0, r, own})
	})
	return true, nil
}

// replace changes the list. mu is held.
func (g *Memory[T]) replace(change func([]stretch[T]) []stretch[T]) {
	var list []stretch[T]
	if old := g.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	slices.SortFunc(list, func(a, b stretch[T]) int {
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

// Free makes a region ordinary memory, when b begins where it does. Its content is lost.
func (g *Memory[T]) Free(b []byte) {
	s := g.find(b[:min(1, len(b))])
	if s == nil || s.at != 0 || s.lo != address(b) {
		return
	}
	base := unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -int(s.of.lead))
	runtime.SetFinalizer((*byte)(base), nil)
	g.dissolve(s.of, base)
}

// dissolve puts ordinary memory in the place of a region. Who else has the file keeps it.
func (g *Memory[T]) dissolve(r *Region, base unsafe.Pointer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replace(func(list []stretch[T]) []stretch[T] {
		return slices.DeleteFunc(list, func(s stretch[T]) bool { return s.of == r })
	})
	b := unsafe.Slice((*byte)(unsafe.Add(base, r.lead)), r.bytes)
	restore(base, b)
	if own, ok := g.all[r]; ok {
		delete(g.all, r)
		g.Leave(own)
	}
}

// Detach makes the pages of b this process's own, at once and with what they hold: from now on a
// write of this process goes to a copy, and who else reads them goes on reading the old bytes.
func (g *Memory[T]) Detach(b []byte) (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	page := uintptr(os.Getpagesize())
	first := unsafe.Pointer(unsafe.SliceData(b))
	lo := uintptr(first) &^ (page - 1)
	hi := (uintptr(first) + uintptr(len(b)) + page - 1) &^ (page - 1)
	g.replace(func(list []stretch[T]) (rest []stretch[T]) {
		for _, s := range list {
			cut, end := min(max(lo, s.lo), s.hi), min(max(hi, s.lo), s.hi)
			if cut == end {
				rest = append(rest, s)
				continue
			}
			pages := unsafe.Slice((*byte)(unsafe.Add(first, int(cut)-int(uintptr(first)))), end-cut)
			err = errors.Join(err, s.of.detach(pages, s.at+(cut-s.lo)))
			if s.lo < cut {
				rest = append(rest, stretch[T]{s.lo, cut, s.at, s.of, s.own})
			}
			if end < s.hi {
				rest = append(rest, stretch[T]{end, s.hi, s.at + (end - s.lo), s.of, s.own})
			}
		}
		return rest
	})
	return err
}

// Close ends all regions. The memory stays with who points to it.
func (g *Memory[T]) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for _, own := range g.all {
		g.Leave(own)
	}
	g.all = nil
	g.list.Store(nil)
}
