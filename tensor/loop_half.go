package tensor

import "math"

// halfLoops makes the table of a 16-bit format from its arithmetic and from the bits of its
// infinity and canonical NaN; minimum and maximum need no more than these.
func halfLoops(sum, prod func(dst, a, b []byte), inf, nan uint16) [opCount]kernel {
	return [opCount]kernel{
		codeSum:  {loop: sum},
		codeProd: {loop: prod},
		codeMin:  {loop: func(dst, a, b []byte) { minHalves(dst, a, b, inf, nan) }},
		codeMax:  {loop: func(dst, a, b []byte) { maxHalves(dst, a, b, inf, nan) }},
	}
}

func sumF16(dst, a, b []byte) {
	d, p, q := triple[Float16](dst, a, b)
	for i := range d {
		d[i] = canonicalF16(p[i].Float32() + q[i].Float32())
	}
}

func prodF16(dst, a, b []byte) {
	d, p, q := triple[Float16](dst, a, b)
	for i := range d {
		// The conversion stops a compiler from fusing this product with what ToFloat16 adds.
		d[i] = canonicalF16(float32(p[i].Float32() * q[i].Float32()))
	}
}

func divideF16(dst []byte, count int) {
	n := float32(count)
	d := view[Float16](dst)
	for i, x := range d {
		d[i] = canonicalF16(x.Float32() / n)
	}
}

func canonicalF16(r float32) Float16 {
	if r != r {
		return f16NaN
	}
	return ToFloat16(r)
}

func sumBF16(dst, a, b []byte) {
	d, p, q := triple[BFloat16](dst, a, b)
	for i := range d {
		d[i] = canonicalBF16(widen(p[i]) + widen(q[i]))
	}
}

func prodBF16(dst, a, b []byte) {
	d, p, q := triple[BFloat16](dst, a, b)
	for i := range d {
		d[i] = canonicalBF16(float32(widen(p[i]) * widen(q[i])))
	}
}

func divideBF16(dst []byte, count int) {
	n := float32(count)
	d := view[BFloat16](dst)
	for i, x := range d {
		d[i] = canonicalBF16(widen(x) / n)
	}
}

// widen is BFloat16.Float32 where the bits of a NaN do not matter.
func widen(h BFloat16) float32 { return math.Float32frombits(uint32(h) << 16) }

func canonicalBF16(r float32) BFloat16 {
	if r != r {
		return bf16NaN
	}
	u := math.Float32bits(r)
	return BFloat16((u + 0x7FFF + u>>16&1) >> 16)
}

// ordered maps the bits of a 16-bit format, read as sign and magnitude, to integers in the same
// order: -0 lands just below +0. It is its own inverse.
func ordered(h int16) int16 { return h ^ int16(uint16(h>>15)>>1) }

// minHalves is minimum of IEEE 754-2019 for a format of this infinity and canonical NaN.
func minHalves(dst, a, b []byte, inf, nan uint16) {
	d, p, q := triple[BFloat16](dst, a, b)
	for i := range d {
		x, y := uint16(p[i]), uint16(q[i])
		r := uint16(ordered(min(ordered(int16(x)), ordered(int16(y)))))
		if max(x&0x7FFF, y&0x7FFF) > inf {
			r = nan
		}
		d[i] = BFloat16(r)
	}
}

// maxHalves is maximum of IEEE 754-2019 for a format of this infinity and canonical NaN.
func maxHalves(dst, a, b []byte, inf, nan uint16) {
	d, p, q := triple[BFloat16](dst, a, b)
	for i := range d {
		x, y := uint16(p[i]), uint16(q[i])
		r := uint16(ordered(max(ordered(int16(x)), ordered(int16(y)))))
		if max(x&0x7FFF, y&0x7FFF) > inf {
			r = nan
		}
		d[i] = BFloat16(r)
	}
}
