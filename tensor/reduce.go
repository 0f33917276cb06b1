package tensor

import (
	"fmt"
	"unsafe"
)

// Reduce sets every element of dst to a op b, in that order of operands (a user's function and
// nothing else can tell). Avg adds: see [Op.Finish]. The results are exact to the bit, as the
// package documentation defines them; it allocates nothing and returns when done.
//
// The three have equal lengths, whole elements of t, and start aligned for t. dst may be exactly a,
// exactly b, or apart from both; a and b may overlap at will. What breaks these rules, or an
// operation that [Op.Supports] refuses, is a mistake in the program and panics.
func (o Op) Reduce(t Type, dst, a, b []byte) {
	o.checkReduce(t, dst, a, b)
	switch {
	case len(dst) == 0:
	case o.code == codeUser:
		o.fn.call(dst, a, b)
	case o.code == codeAvg:
		active.reduce[t][codeSum].run(dst, a, b)
	default:
		active.reduce[t][o.code].run(dst, a, b)
	}
}

// ReduceCold is Reduce for a dst that caches can't hold, or that nobody reads soon: where the processor can do so
// (AVX2; sums), no cache keeps it, nor is first filled with what was there before. It differs in nothing else, and not
// at all where dst is a or b, which are read into a cache anyway.
func (o Op) ReduceCold(t Type, dst, a, b []byte) {
	d := address(dst)
	if o.code != codeSum && o.code != codeAvg || len(dst) == 0 || d == address(a) || d == address(b) {
		o.Reduce(t, dst, a, b)
		return
	}
	o.checkReduce(t, dst, a, b)
	active.reduce[t][codeSum].runCold(dst, a, b)
}

// Finish completes a reduction of n contributions in place: Avg divides every element by n, the
// other operations have nothing to do. F64 is divided in float64; the others in float32, where the
// nearest number stands for an n beyond 2^24, and F16 and BF16 are then rounded to their type. It
// is a true division, not a product with the reciprocal. It is applied once to each element of the
// result, after the last Reduce. dst has whole elements of t and starts aligned for t; Finish
// panics where Reduce would, and if n is not positive.
func (o Op) Finish(t Type, dst []byte, n int) {
	if n < 1 {
		panic(fmt.Sprintf("tensor: Finish of %d contributions: want 1 or more", n))
	}
	o.checkReduce(t, dst, dst, dst)
	if o.code == codeAvg && len(dst) > 0 {
		active.finish[t].run(dst, n)
	}
}

// checkReduce panics unless Reduce is defined for these arguments. The messages are built apart
// from here to keep the common path short.
func (o Op) checkReduce(t Type, dst, a, b []byte) {
	if !o.has(t) {
		panic(o.Supports(t).Error())
	}
	n := uintptr(len(dst))
	d, p, q := address(dst), address(a), address(b)
	mask := uintptr(typeSizes[t]) - 1
	// Nothing is nowhere: the address of an empty vector is free.
	if len(a) != len(dst) || len(b) != len(dst) || (n != 0 && (n|d|p|q)&mask != 0) {
		panicShape(t, dst, a, b)
	}
	// Unsigned: the difference is less than n only if one starts inside the other.
	if (d != p && (d-p < n || p-d < n)) || (d != q && (d-q < n || q-d < n)) {
		panic("tensor: Reduce: dst overlaps an operand in part; it must be all of it, or apart")
	}
}

// has is Supports without the reasons.
func (o Op) has(t Type) bool {
	switch {
	case o.code == codeUser:
		return o.fn.typ == t && o.fn.call != nil
	case o.code == codeAvg:
		return t.float()
	}
	return o.code != 0 && t.Valid()
}

func panicShape(t Type, dst, a, b []byte) {
	panic(fmt.Sprintf("tensor: Reduce of %v: dst %d bytes at %#x, a %d at %#x, b %d at %#x: "+
		"lengths must be equal, lengths and addresses multiples of %d",
		t, len(dst), address(dst), len(a), address(a), len(b), address(b), t.Size()))
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
