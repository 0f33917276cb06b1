package tensor

import (
	"fmt"
	"unsafe"
)

// alignment is the start of every buffer of Alloc: a cache line, and two AVX2 vectors.
const alignment = 64

// Bytes returns the memory of s as bytes, in the byte order of the host. Both slices share the
// memory; the result has no capacity beyond its length. Bytes(nil) is nil.
func Bytes[T Element](s []T) []byte {
	if s == nil {
		return nil
	}
	n := len(s) * int(unsafe.Sizeof(*new(T)))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), n)
}

// View returns the memory of b as elements of type T, in the byte order of the host. Both slices
// share the memory; the result has no capacity beyond its length. View(nil) is nil.
//
// The start of b must be aligned for T and its length a multiple of T's size; anything else is a
// mistake in the program and panics. Buffers of [Alloc], [AllocBytes] and make, and every part of
// them that starts at a multiple of T's size, are aligned.
func View[T Element](b []byte) []T {
	size := unsafe.Sizeof(*new(T))
	p := unsafe.Pointer(unsafe.SliceData(b))
	if len(b) > 0 && (uintptr(p)|uintptr(len(b)))&(size-1) != 0 {
		panic(fmt.Sprintf("tensor: View[%v] of %d bytes at %p: "+
			"length and address must be multiples of %d", TypeOf[T](), len(b), p, size))
	}
	if b == nil {
		return nil
	}
	return unsafe.Slice((*T)(p), uintptr(len(b))/size)
}

// view is View for callers that have checked length and alignment.
func view[T Element](b []byte) []T {
	p := (*T)(unsafe.Pointer(unsafe.SliceData(b)))
	return unsafe.Slice(p, uintptr(len(b))/unsafe.Sizeof(*p))
}

// Alloc returns n zero elements of ordinary garbage-collected memory that starts at a multiple of
// 64 bytes. It panics as make does if n is negative or too large.
func Alloc[T Element](n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	if n < 0 || n > maxInt/size {
		panic(fmt.Sprintf("tensor: Alloc[%v](%d): length out of range", TypeOf[T](), n))
	}
	return view[T](AllocBytes(n * size))
}

// AllocBytes returns n zero bytes of ordinary garbage-collected memory that starts at a multiple
// of 64 bytes. It panics as make does if n is negative or too large.
//
// Not inlined, lest a buffer of constant size land on a stack: stacks move, and keep only the
// alignment that the compiler knows of.
//
//go:noinline
func AllocBytes(n int) []byte {
	if n < 0 || n > maxInt-alignment {
		panic(fmt.Sprintf("tensor: AllocBytes(%d): length out of range", n))
	}
	buf := make([]byte, n+alignment-1)
	start := int(-uintptr(unsafe.Pointer(unsafe.SliceData(buf))) & (alignment - 1))
	return buf[start : start+n : start+n]
}
