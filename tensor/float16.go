package tensor

import (
	"math"
	"strconv"
)

// Float16 holds the bits of an IEEE 754 binary16 number: 1 sign, 5 exponent, 10 fraction bits.
// Compare values through [Float16.Float32]: == on Float16 compares bits.
type Float16 uint16

// BFloat16 holds the bits of a bfloat16 number, the upper half of an IEEE 754 binary32: 1 sign,
// 8 exponent, 7 fraction bits. Compare values through [BFloat16.Float32].
type BFloat16 uint16

const (
	f16Inf  = 0x7C00
	f16NaN  = 0x7E00
	bf16Inf = 0x7F80
	bf16NaN = 0x7FC0

	f32Inf   = 0x7F800000
	f32NaN   = 0x7FC00000
	f32Quiet = 0x00400000
	f32Sign  = 0x80000000
)

// Float32 returns the same number as a float32; every Float16 has one. A NaN stays NaN, with its
// sign and payload, made quiet.
func (h Float16) Float32() float32 {
	sign := uint32(h&0x8000) << 16
	magnitude := uint32(h&0x7FFF) << 13
	if magnitude >= f16Inf<<13 {
		magnitude |= f32Inf
		if magnitude > f32Inf {
			magnitude |= f32Quiet
		}
		return math.Float32frombits(sign | magnitude)
	}
	// The exponent field still has the bias 15. Scaling by 2^(127-15) corrects it, exactly, and
	// turns the subnormals of binary16 into normal numbers on the way.
	return math.Float32frombits(sign | math.Float32bits(math.Float32frombits(magnitude)*0x1p112))
}

// String formats the number as strconv does a float32, shortest form.
func (h Float16) String() string {
	return strconv.FormatFloat(float64(h.Float32()), 'g', -1, 32)
}

// ToFloat16 rounds f to the nearest Float16, ties to even. Numbers of magnitude 65520 and more
// become infinite, those of 2^-25 and less become zero with the sign kept. A NaN stays NaN, with
// its sign and the upper bits of its payload, made quiet.
func ToFloat16(f float32) Float16 {
	u := math.Float32bits(f)
	sign := Float16(u >> 16 & 0x8000)
	u &^= f32Sign
	switch {
	case u > f32Inf:
		return sign | f16NaN | Float16(u>>13&0x3FF)
	case u >= 0x47800000: // 2^16, beyond what rounding can bring back
		return sign | f16Inf
	case u < 0x38800000: // below 2^-14: zero or subnormal in binary16
		// At 0.5 a float32 steps by 2^-24, the step of the subnormals: the addition rounds.
		return sign | Float16(math.Float32bits(math.Float32frombits(u)+0.5)-0x3F000000)
	default:
		// Re-bias, add just less than half a step (half a step if the last bit kept is odd), cut.
		u += 0xFFF + u>>13&1
		return sign | Float16((u-112<<23)>>13)
	}
}

// Float32 returns the same number as a float32; every BFloat16 has one. A NaN stays NaN, with its
// sign and payload, made quiet.
func (h BFloat16) Float32() float32 {
	u := uint32(h) << 16
	if h&0x7FFF > bf16Inf {
		u |= f32Quiet
	}
	return math.Float32frombits(u)
}

// String formats the number as strconv does a float32, shortest form.
func (h BFloat16) String() string {
	return strconv.FormatFloat(float64(h.Float32()), 'g', -1, 32)
}

// ToBFloat16 rounds f to the nearest BFloat16, ties to even; what rounds beyond the largest finite
// number becomes infinite. A NaN stays NaN, with its sign and the upper bits of its payload, made
// quiet.
func ToBFloat16(f float32) BFloat16 {
	u := math.Float32bits(f)
	if u&^f32Sign > f32Inf {
		return BFloat16(u>>16) | bf16NaN
	}
	return BFloat16((u + 0x7FFF + u>>16&1) >> 16)
}
