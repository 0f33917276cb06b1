package tensor

import (
	"fmt"
	"unsafe"
)

// What a reduction of float32 vectors needs whose messages are Float16 or BFloat16: numbers are
// narrowed when they are sent, and added in float32 to what is widened again.

// Narrow sets every element of dst, a vector of t, to that of src, a vector of F32, rounded to
// nearest, ties to even. t is F16 or BF16. What is too large for t becomes infinite: 65520 and more
// for F16. A NaN becomes the canonical one.
//
// The two have equally many elements, start aligned for their types and lie apart; what breaks
// these rules panics. So it is with Widen, Round and ReduceWide, which all allocate nothing.
func Narrow(t Type, dst, src []byte) {
	checkWire("Narrow", t, dst, 2, src, 4)
	active.wire[t].narrow.run(dst, src, 2, 4)
}

// Widen sets every element of dst, a vector of F32, to that of src, a vector of t. It is exact but
// for NaN, which becomes the canonical one.
func Widen(t Type, dst, src []byte) {
	checkWire("Widen", t, dst, 4, src, 2)
	active.wire[t].widen.run(dst, src, 4, 2)
}

// Round sets every element of dst to that of src, both vectors of F32, rounded to t: Narrow and
// Widen in one. dst may be src. Rounding again changes nothing.
func Round(t Type, dst, src []byte) {
	checkWire("Round", t, dst, 4, src, 4)
	active.wire[t].round.run(dst, src, 4, 4)
}

// ReduceWide sets every element of dst to a op b, where dst and a are vectors of F32 and b is one
// of t, F16 or BF16: [Op.Reduce] of a and of b widened. The operation is one that [Op.Widens]
// allows. dst may be exactly a.
func (o Op) ReduceWide(t Type, dst, a, b []byte) {
	if !o.Widens() {
		panic(fmt.Sprintf("tensor: ReduceWide: operation %v does not widen", o))
	}
	checkWire("ReduceWide", t, dst, 4, b, 2)
	checkWire("ReduceWide", t, dst, 4, a, 4)
	code := o.code
	if code == codeAvg {
		code = codeSum
	}
	active.wire[t].reduce[code].run(dst, a, b)
}

// Widens reports whether [Op.ReduceWide] has the operation: Sum, Avg, Min and Max. The error of a
// product grows with its factors, and a function of the user's knows nothing of narrow types.
func (o Op) Widens() bool {
	return o.code == codeSum || o.code == codeAvg || o.code == codeMin || o.code == codeMax
}

// checkWire panics unless the two vectors match. Elements of one size may lie at the same place.
func checkWire(name string, t Type, dst []byte, dstSize int, src []byte, srcSize int) {
	if t != F16 && t != BF16 {
		panic(fmt.Sprintf("tensor: %s: type %v, want f16 or bf16", name, t))
	}
	d, s := address(dst), address(src)
	bad := len(dst)/dstSize != len(src)/srcSize
	if n := uintptr(len(dst)); n > 0 {
		bad = bad || (n|d)&uintptr(dstSize-1) != 0 || (uintptr(len(src))|s)&uintptr(srcSize-1) != 0
		apart := d-s >= uintptr(len(src)) && s-d >= n
		bad = bad || !apart && (d != s || dstSize != srcSize)
	}
	if bad {
		panic(fmt.Sprintf("tensor: %s: %d bytes at %#x and %d at %#x: they must have equally many "+
			"elements of %d and %d bytes, be aligned and lie apart", name, len(dst), d, len(src), s,
			dstSize, srcSize))
	}
}

// wireKernels are the kernels between float32 and one 16-bit type.
type wireKernels struct {
	narrow, widen, round conversion
	reduce               [opCount]wideKernel
}

// groupElements is the least that the assembly here can be given.
const groupElements = vectorBytes / 4

// conversion sets elements from those of another vector. vector is nil where only the loop exists.
type conversion struct {
	vector func(dst, src *byte, n uintptr) // n >= groupElements elements
	loop   func(dst, src []byte)
}

func (k *conversion) run(dst, src []byte, dstSize, srcSize int) {
	n := len(dst) / dstSize
	if k.vector == nil || n < groupElements {
		k.loop(dst, src)
		return
	}
	for n > 0 {
		m := turn(n)
		k.vector(unsafe.SliceData(dst), unsafe.SliceData(src), uintptr(m))
		dst, src, n = dst[m*dstSize:], src[m*srcSize:], n-m
	}
}

// wideKernel reduces float32 with a 16-bit type.
type wideKernel struct {
	vector func(dst, a, b *byte, n uintptr)
	loop   func(dst, a, b []byte)
}

func (k *wideKernel) run(dst, a, b []byte) {
	n := len(dst) / 4
	if k.vector == nil || n < groupElements {
		k.loop(dst, a, b)
		return
	}
	for n > 0 {
		m := turn(n)
		k.vector(unsafe.SliceData(dst), unsafe.SliceData(a), unsafe.SliceData(b), uintptr(m))
		dst, a, b, n = dst[4*m:], a[4*m:], b[2*m:], n-m
	}
}

// turn is how many of n elements one call of an assembly kernel takes: as many as stretch allows,
// but never fewer than a group, nor so many that fewer than a group are left.
func turn(n int) int {
	const most = stretch / 4
	if n < most+groupElements {
		return n
	}
	return most
}
