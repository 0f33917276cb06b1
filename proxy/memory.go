package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// The memory of large bodies that was released is kept for bodies to come. To make it anew costs
// more than to fill it: pages have to be found and cleared, and collections come as often as
// megabytes do.
const (
	pooledMin   = 32 << 10         // smaller memory is left to the collector
	pooledBytes = 64 << 20         // kept at most
	pooledTime  = 10 * time.Second // and no longer than this without use
)

// memory is what the body of a received message lies in. When the last that holds it lets go, it is
// for another body; when somebody forgets to, it is garbage like any other.
type memory struct {
	bytes   []byte
	pool    *pool
	holders atomic.Int32
	since   time.Time // in the pool
}

// hold keeps the memory from the pool once more. It is for those who hold it already.
func (m *memory) hold() { m.holders.Add(1) }

// release lets go of it. There may be none.
func (m *memory) release() {
	if m != nil && m.holders.Add(-1) == 0 {
		m.pool.put(m)
	}
}

// has says whether b lies in the memory, which may be none.
func (m *memory) has(b []byte) bool {
	if m == nil || len(b) == 0 {
		return false
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) -
		uintptr(unsafe.Pointer(unsafe.SliceData(m.bytes)))
	return at < uintptr(len(m.bytes)) // below it wraps round
}

// pool keeps memory that nobody holds.
type pool struct {
	mu    sync.Mutex
	free  []*memory // in the order in which they came
	bytes int
}

// take returns memory for a body of n bytes, with one holder, or nil when there is none that is
// large enough, and not far too large. What was used last may still be in a cache.
func (p *pool) take(n int) *memory {
	if n < pooledMin {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i, m := range p.free {
		size := len(m.bytes)
		if size >= n && size/2 <= n && (best < 0 || size <= len(p.free[best].bytes)) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	m := p.free[best]
	p.free = slices.Delete(p.free, best, best+1)
	p.bytes -= len(m.bytes)
	m.holders.Store(1)
	return m
}

// adopt makes b memory that comes here when it is released, unless it is small: then it is nil.
func (p *pool) adopt(b []byte) *memory {
	if len(b) < pooledMin {
		return nil
	}
	m := &memory{bytes: b, pool: p}
	m.holders.Store(1)
	return m
}

func (p *pool) put(m *memory) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bytes+len(m.bytes) > pooledBytes {
		return
	}
	m.since = time.Now()
	p.free = append(p.free, m)
	p.bytes += len(m.bytes)
}

// trim lets go of what has not been used for long.
func (p *pool) trim(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.free) && now.Sub(p.free[n].since) > pooledTime {
		p.bytes -= len(p.free[n].bytes)
		n++
	}
	p.free = slices.Delete(p.free, 0, n)
}

// Release gives the memory of a received message's body back to the proxy, for bodies to come. It
// is never needed: what is not released is garbage-collected. But it spares who receives one large
// body after another new memory for each, and most of the collections.
//
// Body is nil afterwards, and what was decoded from it without a copy, such as a []float32, must
// not be used any more: neither read nor written, nor be the body of a message that is not settled.
// Only a Reply, Acknowledge or Forward of m itself may be under way with it: the memory goes back
// when that is settled. Release does nothing for a message that has been released, was not
// received, or has a small body. It does not block, and must not run at the same time as another
// use of m.
func (m *Message) Release() {
	if m.inbound == nil || m.inbound.memory == nil {
		return
	}
	held := m.inbound.memory
	m.inbound.memory, m.Body = nil, nil
	held.release()
}
