package tensor

import "unsafe"

const (
	// vectorBytes is what one turn of an assembly kernel writes, and the least it can be given.
	vectorBytes = 32
	// stretch bounds one call of an assembly kernel. The scheduler cannot interrupt assembly, and
	// a garbage collection waits for every goroutine: this is about 0.1 ms from memory.
	stretch = 1 << 20
)

// kernel reduces vectors of one type with one operation. vector is nil where only the loop exists, and cold where
// no kernel goes past the caches.
type kernel struct {
	vector vectorFunc
	cold   vectorFunc // dst is a multiple of vectorBytes, apart from a and b
	loop   func(dst, a, b []byte)
}

// vectorFunc is a kernel in assembly, for n >= vectorBytes bytes of whole elements.
type vectorFunc func(dst, a, b *byte, n uintptr)

// divider divides vectors of one floating-point type by a count.
type divider struct {
	vector func(dst *byte, n uintptr, count int) // n >= vectorBytes
	loop   func(dst []byte, count int)
}

// kernels is everything that one path through the machine offers.
type kernels struct {
	reduce [typeCount][opCount]kernel
	finish [typeCount]divider
	wire   [typeCount]wireKernels // F16 and BF16
	// copyCold copies n bytes, a multiple of coldBlock, to a multiple of vectorBytes; nil where there is only copy.
	copyCold func(dst, src *byte, n uintptr)
}

// active is the path in use: chosen once at start, exchanged only by tests.
var active = fastest()

// use makes k the active path and returns what restores the one before.
func use(k *kernels) (restore func()) {
	before := active
	active = k
	return func() { active = before }
}

func (k *kernel) run(dst, a, b []byte) {
	if k.vector == nil {
		k.loop(dst, a, b)
		return
	}
	for len(dst) > stretch {
		k.vector(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), stretch)
		dst, a, b = dst[stretch:], a[stretch:], b[stretch:]
	}
	if len(dst) < vectorBytes {
		k.loop(dst, a, b)
		return
	}
	k.vector(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), uintptr(len(dst)))
}

// runCold is run for what need not be in a cache afterwards; dst is apart from a and b.
func (k *kernel) runCold(dst, a, b []byte) {
	head := int(-address(dst) & (vectorBytes - 1))
	if k.cold == nil || len(dst)-head < vectorBytes {
		k.run(dst, a, b)
		return
	}
	k.loop(dst[:head], a[:head], b[:head])
	for dst, a, b = dst[head:], a[head:], b[head:]; len(dst) >= vectorBytes; {
		n := min(len(dst), stretch)
		k.cold(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), uintptr(n))
		dst, a, b = dst[n:], a[n:], b[n:]
	}
	k.loop(dst, a, b)
}

func (d *divider) run(dst []byte, count int) {
	if d.vector == nil {
		d.loop(dst, count)
		return
	}
	for len(dst) > stretch {
		d.vector(unsafe.SliceData(dst), stretch, count)
		dst = dst[stretch:]
	}
	if len(dst) < vectorBytes {
		d.loop(dst, count)
		return
	}
	d.vector(unsafe.SliceData(dst), uintptr(len(dst)), count)
}
