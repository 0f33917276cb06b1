package tensor

import "math"

// The plain Go path: the definition that assembly is held to, and the only path without it.

// loops returns the table of the plain loops.
func loops() *kernels {
	var k kernels
	k.reduce[F64] = floatLoops[float64]()
	k.reduce[F32] = floatLoops[float32]()
	k.reduce[F16] = halfLoops(sumF16, prodF16, f16Inf, f16NaN)
	k.reduce[BF16] = halfLoops(sumBF16, prodBF16, bf16Inf, bf16NaN)
	k.reduce[I8] = integerLoops[int8]()
	k.reduce[U8] = integerLoops[uint8]()
	k.reduce[I32] = integerLoops[int32]()
	k.reduce[I64] = integerLoops[int64]()
	k.reduce[U64] = integerLoops[uint64]()
	k.finish[F64].loop = divideF64
	k.finish[F32].loop = divideF32
	k.finish[F16].loop = divideF16
	k.finish[BF16].loop = divideBF16
	k.wire = wireLoops()
	return &k
}

type integer interface {
	int8 | uint8 | int32 | int64 | uint64
}

type float interface{ float32 | float64 }

func integerLoops[T integer]() [opCount]kernel {
	return [opCount]kernel{
		codeSum:  {loop: sumIntegers[T]},
		codeProd: {loop: prodIntegers[T]},
		codeMin:  {loop: minOrdered[T]},
		codeMax:  {loop: maxOrdered[T]},
	}
}

func sumIntegers[T integer](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	for i := range d {
		d[i] = p[i] + q[i]
	}
}

func prodIntegers[T integer](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	for i := range d {
		d[i] = p[i] * q[i]
	}
}

func minOrdered[T integer](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	for i := range d {
		d[i] = min(p[i], q[i])
	}
}

func maxOrdered[T integer](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	for i := range d {
		d[i] = max(p[i], q[i])
	}
}

func floatLoops[T float]() [opCount]kernel {
	return [opCount]kernel{
		codeSum:  {loop: sumFloats[T]},
		codeProd: {loop: prodFloats[T]},
		codeMin:  {loop: minFloats[T]},
		codeMax:  {loop: maxFloats[T]},
	}
}

func sumFloats[T float](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	nan := canonicalNaN[T]()
	for i := range d {
		r := p[i] + q[i]
		if r != r {
			r = nan
		}
		d[i] = r
	}
}

func prodFloats[T float](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	nan := canonicalNaN[T]()
	for i := range d {
		r := p[i] * q[i]
		if r != r {
			r = nan
		}
		d[i] = r
	}
}

// The built-in min and max of the language are those of IEEE 754-2019 but for the bits of a NaN.

func minFloats[T float](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	nan := canonicalNaN[T]()
	for i := range d {
		r := min(p[i], q[i])
		if r != r {
			r = nan
		}
		d[i] = r
	}
}

func maxFloats[T float](dst, a, b []byte) {
	d, p, q := triple[T](dst, a, b)
	nan := canonicalNaN[T]()
	for i := range d {
		r := max(p[i], q[i])
		if r != r {
			r = nan
		}
		d[i] = r
	}
}

func divideF64(dst []byte, count int) { divideFloats(view[float64](dst), float64(count)) }
func divideF32(dst []byte, count int) { divideFloats(view[float32](dst), float32(count)) }

func divideFloats[T float](d []T, n T) {
	nan := canonicalNaN[T]()
	for i, x := range d {
		r := x / n
		if r != r {
			r = nan
		}
		d[i] = r
	}
}

// canonicalNaN is not math.NaN, whose last bit is set. Narrowing it keeps the top fraction bit.
func canonicalNaN[T float]() T { return T(math.Float64frombits(0x7FF8000000000000)) }

// triple views the operands of a loop at one length, which spares it the bounds checks.
func triple[T Element](dst, a, b []byte) (d, p, q []T) {
	d = view[T](dst)
	return d, view[T](a)[:len(d)], view[T](b)[:len(d)]
}
