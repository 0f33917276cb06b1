package collective

import (
	"slices"

	"github.com/tutti-ml/tutti/transport"
)

// heldMemory keeps the memory of held frames that have been taken, at most as much as a channel may
// hold, for the next ones: where a rank is behind again and again, frames are held all the time.
type heldMemory struct {
	idle  []*heldFrame
	bytes int
}

// get returns a frame to be filled.
func (m *heldMemory) get(h *transport.Header) *heldFrame {
	n := int(h.Length)
	for i, f := range slices.Backward(m.idle) {
		if cap(f.data) >= n {
			m.idle = slices.Delete(m.idle, i, i+1)
			m.bytes -= cap(f.data)
			f.header, f.data, f.got = *h, f.data[:n], 0
			return f
		}
	}
	return &heldFrame{header: *h, data: alignedBytes(n)} // for elements of any type
}

// put takes a frame back.
func (m *heldMemory) put(f *heldFrame) {
	if m.bytes+cap(f.data) <= window {
		m.idle = append(m.idle, f)
		m.bytes += cap(f.data)
	}
}
