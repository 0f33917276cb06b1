package collective

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/tutti-ml/tutti/transport"
)

// Memory of held frames holds elements of any type, also when it has been a shorter frame's of
// another type before; and not more of it is kept than a channel may hold.
func TestHeldMemory(t *testing.T) {
	var m heldMemory
	r := rand.New(rand.NewPCG(1, 2))
	var out []*heldFrame
	for range 20_000 {
		if n := r.IntN(1 << r.IntN(20)); len(out) < 40 && r.IntN(3) > 0 {
			f := m.get(&transport.Header{Length: uint32(n), Step: uint32(n)})
			if len(f.data) != n || f.got != 0 || f.header.Step != uint32(n) {
				t.Fatalf("got %d bytes, %d of them there, want an empty frame of %d", len(f.data), f.got, n)
			}
			if at := uintptr(unsafe.Pointer(unsafe.SliceData(f.data))); n > 0 && at%8 != 0 {
				t.Fatalf("%d bytes at %#x", n, at)
			}
			f.got = n
			out = append(out, f)
		} else if len(out) > 0 {
			i := r.IntN(len(out))
			m.put(out[i])
			out[i] = out[len(out)-1]
			out = out[:len(out)-1]
		}
		kept := 0
		for _, f := range m.idle {
			kept += cap(f.data)
		}
		if kept != m.bytes || kept > window {
			t.Fatalf("%d bytes are kept, %d counted", kept, m.bytes)
		}
	}
}
