//go:build ibverbs && cgo && linux

package ibverbs

import (
	"sync"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/alloc"
)

// region is memory of Alloc, which the device knows.
type region struct {
	file *alloc.Region

	mu    sync.Mutex
	known *memory // what the device has of it
	uses  int     // work requests under way, and destinations
	gone  bool    // it is ordinary memory, or the endpoint has closed
}

// regions is the memory of an endpoint that its device knows.
type regions struct {
	device *device
	memory alloc.Memory[*region]
}

func (g *regions) open(d *device) {
	g.device = d
	g.memory.Name, g.memory.What = "tutti-ibverbs", "ibverbs: memory that the device knows"
	g.memory.Enter, g.memory.Leave = g.enter, (*region).end
}

// find returns the region of b, nil when b is not in one stretch.
func (g *regions) find(b []byte) *region {
	r, _ := g.memory.Find(b)
	return r
}

// detach makes the pages of b this process's own. The device goes on reading the old bytes.
func (g *regions) detach(b []byte) error { return g.memory.Detach(b) }

// enter registers a region.
func (g *regions) enter(file *alloc.Region, b []byte) (*region, error) {
	known, err := g.device.register(b, theirMemory)
	if err != nil {
		return nil, err
	}
	known.bytes = nil // it must not keep what it describes
	return &region{file: file, known: known}, nil
}

var _ transport.Allocator = (*endpoint)(nil)

// Alloc returns memory that the device reads and writes where it lies.
func (e *endpoint) Alloc(n int) ([]byte, error) {
	b, err := e.regions.memory.Alloc(n)
	if err != nil {
		e.log.Warn("ibverbs: no memory that the device knows: it is copied", "rank", e.c.Rank,
			"bytes", n, "error", err, "remedy", remedy(err))
	}
	return b, err
}

// Free makes memory of Alloc ordinary memory. What the device still reads it keeps until it is
// through.
func (e *endpoint) Free(b []byte) { e.regions.memory.Free(b) }

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
	r.forget()
}

func (r *region) forget() {
	if r.gone && r.uses == 0 {
		_ = r.known.release() // of memory that nothing uses: it does not fail
		r.file.Close()
	}
}
