package tensor

import (
	"fmt"
	"unsafe"
)

// CopyCold copies src to dst, of equal length and apart from each other, and leaves dst in no cache where the
// processor can do so (AVX2; else it is copy). What is larger than the caches is copied faster: they need not be
// filled with what was at dst before, and what they hold stays. Smaller vectors that are read soon after are
// better copied by copy. It panics if the lengths differ.
func CopyCold(dst, src []byte) {
	if len(dst) != len(src) {
		panic(fmt.Sprintf("tensor: CopyCold of %d bytes to %d", len(src), len(dst)))
	}
	if active.copyCold != nil {
		// The kernel begins at a multiple of vectorBytes.
		head := min(int(-address(dst)&(vectorBytes-1)), len(dst))
		copy(dst[:head], src[:head])
		for dst, src = dst[head:], src[head:]; len(dst) >= coldBlock; {
			n := min(len(dst)&^(coldBlock-1), stretch)
			active.copyCold(unsafe.SliceData(dst), unsafe.SliceData(src), uintptr(n))
			dst, src = dst[n:], src[n:]
		}
	}
	copy(dst, src)
}

// coldBlock is the bytes of which the kernel takes multiples.
const coldBlock = 256
