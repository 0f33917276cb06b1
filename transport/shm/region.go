//go:build linux

package shm

import (
	"sync/atomic"

	"github.com/tutti-ml/tutti/transport/internal/alloc"
)

// region is memory of Alloc, which peers can map.
type region struct {
	*alloc.Region
	number uint32 // of this endpoint's, from 1
	gone   atomic.Bool
}

// regions is what an endpoint shares.
type regions struct {
	alloc.Memory[*region]
	last  uint32
	freed atomic.Uint32 // how many regions have gone
}

func newRegions() *regions {
	g := &regions{}
	g.Name, g.What = "tutti-alloc", "shm: memory for peers to see"
	g.Enter, g.Leave = g.enter, g.leave
	return g
}

// enter numbers a region. One at a time comes.
func (g *regions) enter(r *alloc.Region, _ []byte) (*region, error) {
	g.last++
	return &region{Region: r, number: g.last}, nil
}

// leave closes the file of a region. Peers keep what they have mapped until they hear of it.
func (g *regions) leave(r *region) {
	r.gone.Store(true)
	r.Close()
	g.freed.Add(1)
}

// Alloc returns memory that peers can see.
func (e *endpoint) Alloc(n int) ([]byte, error) {
	b, err := e.regions.Alloc(n)
	if err != nil {
		e.log.Warn("shm: no memory for peers to see: it is copied", "rank", e.c.Rank, "bytes", n,
			"error", err, "remedy", remedy(err))
	}
	return b, err
}

// Free makes memory of Alloc ordinary memory.
func (e *endpoint) Free(b []byte) { e.regions.Free(b) }
