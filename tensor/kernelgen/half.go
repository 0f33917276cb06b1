package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	nanF16, infF16   = 0x7E00, 0x7C00
	nanBF16, infBF16 = 0x7FC0, 0x7F80
)

// nearestEven is the rounding of a conversion, whatever MXCSR says.
var nearestEven = operand.Imm(0)

// halves emits the kernels of f16 and bf16: arithmetic in binary32, rounded once; minimum and
// maximum on the bits. Only arithmetic of f16 needs F16C.
func (e *emitter) halves() {
	e.sum("sumF16", "ToFloat16(a[i].Float32() + b[i].Float32())", 2,
		func() lane { return e.arithmeticF16(e.VADDPS) })
	e.binary("prodF16", "ToFloat16(a[i].Float32() * b[i].Float32())", 2,
		func() lane { return e.arithmeticF16(e.VMULPS) })
	e.unary("divF16", "ToFloat16(dst[i].Float32() / count)", 2, func(count reg.Register) lane {
		divisor := e.divisor(count, e.VCVTSI2SSQ, e.VBROADCASTSS)
		narrow := e.narrowF16()
		return func(s ...operand.Mem) reg.VecVirtual {
			low, high := e.widenF16(s[0])
			e.VDIVPS(divisor, low, low)
			e.VDIVPS(divisor, high, high)
			return narrow(low, high)
		}
	})
	e.binary("minF16", "minimum(a[i], b[i])", 2,
		func() lane { return e.extremeHalf(e.VPMINSW, infF16, nanF16) })
	e.binary("maxF16", "maximum(a[i], b[i])", 2,
		func() lane { return e.extremeHalf(e.VPMAXSW, infF16, nanF16) })

	e.sum("sumBF16", "ToBFloat16(a[i].Float32() + b[i].Float32())", 2,
		func() lane { return e.arithmeticBF16(e.VADDPS) })
	e.binary("prodBF16", "ToBFloat16(a[i].Float32() * b[i].Float32())", 2,
		func() lane { return e.arithmeticBF16(e.VMULPS) })
	e.unary("divBF16", "ToBFloat16(dst[i].Float32() / count)", 2, func(count reg.Register) lane {
		divisor := e.divisor(count, e.VCVTSI2SSQ, e.VBROADCASTSS)
		widen, narrow := e.widenBF16(), e.narrowBF16()
		return func(s ...operand.Mem) reg.VecVirtual {
			even, odd := widen(s[0])
			e.VDIVPS(divisor, even, even)
			e.VDIVPS(divisor, odd, odd)
			return narrow(even, odd)
		}
	})
	e.binary("minBF16", "minimum(a[i], b[i])", 2,
		func() lane { return e.extremeHalf(e.VPMINSW, infBF16, nanBF16) })
	e.binary("maxBF16", "maximum(a[i], b[i])", 2,
		func() lane { return e.extremeHalf(e.VPMAXSW, infBF16, nanBF16) })
}

func (e *emitter) arithmeticF16(instruction func(...operand.Op)) lane {
	narrow := e.narrowF16()
	return func(s ...operand.Mem) reg.VecVirtual {
		aLow, aHigh := e.widenF16(s[0])
		bLow, bHigh := e.widenF16(s[1])
		instruction(bLow, aLow, aLow)
		instruction(bHigh, aHigh, aHigh)
		return narrow(aLow, aHigh)
	}
}

// widenF16 converts the first and the last eight elements at m.
func (e *emitter) widenF16(m operand.Mem) (low, high reg.VecVirtual) {
	low, high = e.YMM(), e.YMM()
	e.VCVTPH2PS(m, low)
	e.VCVTPH2PS(m.Offset(width/2), high)
	return low, high
}

// narrowF16 returns what converts two registers back into one, with the canonical NaN.
func (e *emitter) narrowF16() func(low, high reg.VecVirtual) reg.VecVirtual {
	magnitude, inf, nan := e.words(0x7FFF), e.words(infF16), e.words(nanF16)
	return func(low, high reg.VecVirtual) reg.VecVirtual {
		e.VCVTPS2PH(nearestEven, low, low.AsX())
		e.VCVTPS2PH(nearestEven, high, high.AsX())
		e.VINSERTI128(operand.Imm(1), high.AsX(), low, low)
		mask := e.YMM()
		e.VPAND(magnitude, low, mask)
		e.VPCMPGTW(inf, mask, mask)
		e.VPBLENDVB(mask, nan, low, low)
		return low
	}
}

func (e *emitter) arithmeticBF16(instruction func(...operand.Op)) lane {
	widen, narrow := e.widenBF16(), e.narrowBF16()
	return func(s ...operand.Mem) reg.VecVirtual {
		aEven, aOdd := widen(s[0])
		bEven, bOdd := widen(s[1])
		instruction(bEven, aEven, aEven)
		instruction(bOdd, aOdd, aOdd)
		return narrow(aEven, aOdd)
	}
}

// widenBF16 returns what converts the elements of even and of odd position: each already is, or
// moves into, the upper half of a binary32.
func (e *emitter) widenBF16() func(m operand.Mem) (even, odd reg.VecVirtual) {
	upper := e.doubles(0xFFFF0000)
	return func(m operand.Mem) (even, odd reg.VecVirtual) {
		odd = e.load(m)
		even = e.YMM()
		e.VPSLLD(operand.Imm(16), odd, even)
		e.VPAND(upper, odd, odd)
		return even, odd
	}
}

// roundBF16 returns what rounds the upper half of each element to nearest, ties to even, and leaves
// the lower half undefined. NaN is made canonical first: rounding it as a number could carry into
// the sign.
func (e *emitter) roundBF16() func(x reg.VecVirtual) {
	nan, one, below := e.doubles(nan32), e.doubles(1), e.doubles(0x7FFF)
	return func(x reg.VecVirtual) {
		mask, last := e.YMM(), e.YMM()
		e.VCMPPS(unordered, x, x, mask)
		e.VBLENDVPS(mask, nan, x, x)
		e.VPSRLD(operand.Imm(16), x, last)
		e.VPAND(one, last, last)
		e.VPADDD(below, x, x)
		e.VPADDD(last, x, x)
	}
}

// narrowBF16 returns what rounds and joins even and odd elements.
func (e *emitter) narrowBF16() func(even, odd reg.VecVirtual) reg.VecVirtual {
	round := e.roundBF16()
	return func(even, odd reg.VecVirtual) reg.VecVirtual {
		round(even)
		round(odd)
		e.VPSRLD(operand.Imm(16), even, even)
		e.VPBLENDW(operand.Imm(0b10101010), odd, even, even)
		return even
	}
}

// extremeHalf is minimum or maximum of IEEE 754-2019 for a 16-bit format: bits read as sign and
// magnitude become integers of the same order, -0 just below +0, and the same step leads back.
func (e *emitter) extremeHalf(instruction func(...operand.Op), infinity, notANumber uint16) lane {
	magnitude, inf, nan := e.words(0x7FFF), e.words(infinity), e.words(notANumber)
	ordered := func(x reg.VecVirtual) {
		flip := e.YMM()
		e.VPSRAW(operand.Imm(15), x, flip)
		e.VPSRLW(operand.Imm(1), flip, flip)
		e.VPXOR(flip, x, x)
	}
	return func(s ...operand.Mem) reg.VecVirtual {
		a, b := e.load(s[0]), e.load(s[1])
		mask, m := e.YMM(), e.YMM()
		e.VPAND(magnitude, a, mask)
		e.VPAND(magnitude, b, m)
		e.VPMAXSW(mask, m, mask)
		e.VPCMPGTW(inf, mask, mask)
		ordered(a)
		ordered(b)
		instruction(b, a, a)
		ordered(a)
		e.VPBLENDVB(mask, nan, a, a)
		return a
	}
}
