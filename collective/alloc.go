package collective

import (
	"unsafe"

	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

// Alloc returns a zeroed buffer of n elements, which begins at a multiple of 64 bytes and which every
// driver of c moves with the fewest copies that it can: over shared memory, ranks of one host read
// each other's large buffers where they lie; by RDMA, the devices do. Other buffers do as well
// everywhere, only slower.
//
// The buffer is garbage-collected and may be used after Close; Free gives what is special about it
// back sooner. Making a large one is slow, as all of its memory is made at once: keep it for many
// calls. It panics as make does if n is negative or too large.
func Alloc[T tensor.Element](c *Comm, n int) []T {
	special, ok := c.e.ep.(transport.Allocator)
	size := int(unsafe.Sizeof(*new(T)))
	if !ok || n <= 0 || n > maxAlloc/size {
		return tensor.Alloc[T](n)
	}
	b, err := special.Alloc(n * size)
	if err != nil { // the endpoint has logged why
		return tensor.Alloc[T](n)
	}
	return tensor.View[T](b)
}

// maxAlloc is more bytes than any memory has.
const maxAlloc = 1 << 46

// Free takes a buffer of Alloc back, before the garbage collector would. buf begins where that buffer
// began. Its content is lost, and no call of any rank may be using it; it may be used afterwards, as
// ordinary memory. Freeing any other buffer, or one twice, does nothing.
func Free[T tensor.Element](c *Comm, buf []T) {
	if special, ok := c.e.ep.(transport.Allocator); ok && len(buf) > 0 {
		special.Free(tensor.Bytes(buf))
	}
}

func alignedBytes(n int) []byte { return tensor.AllocBytes(n) }
