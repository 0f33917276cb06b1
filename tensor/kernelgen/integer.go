package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// integers emits the kernels of i8, u8, i32, i64 and u64. Sums and products wrap around, so the
// signed and the unsigned type of a size share one.
func (e *emitter) integers() {
	e.sum("sumI8", "a[i] + b[i]", 8, e.simply(e.VPADDB))
	e.sum("sumI32", "a[i] + b[i]", 8, e.simply(e.VPADDD))
	e.sum("sumI64", "a[i] + b[i]", 8, e.simply(e.VPADDQ))
	e.simple("prodI32", "a[i] * b[i]", e.VPMULLD)
	e.binary("prodI8", "a[i] * b[i]", 4, e.prod8)
	e.binary("prodI64", "a[i] * b[i]", 2, e.prod64)

	e.simple("minI8", "min(a[i], b[i])", e.VPMINSB)
	e.simple("maxI8", "max(a[i], b[i])", e.VPMAXSB)
	e.simple("minU8", "min(a[i], b[i])", e.VPMINUB)
	e.simple("maxU8", "max(a[i], b[i])", e.VPMAXUB)
	e.simple("minI32", "min(a[i], b[i])", e.VPMINSD)
	e.simple("maxI32", "max(a[i], b[i])", e.VPMAXSD)
	e.binary("minI64", "min(a[i], b[i])", 4, func() lane { return e.select64(false, true) })
	e.binary("maxI64", "max(a[i], b[i])", 4, func() lane { return e.select64(false, false) })
	e.binary("minU64", "min(a[i], b[i])", 4, func() lane { return e.select64(true, true) })
	e.binary("maxU64", "max(a[i], b[i])", 4, func() lane { return e.select64(true, false) })
}

// simple emits a kernel whose lane is one instruction.
func (e *emitter) simple(name, meaning string, instruction func(...operand.Op)) {
	e.binary(name, meaning, 8, e.simply(instruction))
}

// simply prepares nothing for a lane of one instruction.
func (e *emitter) simply(instruction func(...operand.Op)) func() lane {
	return func() lane {
		return func(s ...operand.Mem) reg.VecVirtual {
			x := e.load(s[0])
			instruction(s[1], x, x)
			return x
		}
	}
}

// prod8 multiplies bytes as 16-bit words, even and odd bytes apart. A product's low byte needs only
// the low bytes of its factors; an odd byte left where it is, times the other moved down, leaves
// its product where it belongs.
func (e *emitter) prod8() lane {
	low := e.words(0x00FF)
	return func(s ...operand.Mem) reg.VecVirtual {
		a, b := e.load(s[0]), e.load(s[1])
		even, odd := e.YMM(), e.YMM()
		e.VPMULLW(b, a, even)
		e.VPAND(low, even, even)
		e.VPANDN(a, low, odd)
		e.VPSRLW(operand.Imm(8), b, b)
		e.VPMULLW(b, odd, odd)
		e.VPOR(even, odd, odd)
		return odd
	}
}

// prod64 multiplies by halves: low*low + (high*low + low*high)<<32; high*high falls off.
func (e *emitter) prod64() lane {
	return func(s ...operand.Mem) reg.VecVirtual {
		a, b := e.load(s[0]), e.load(s[1])
		x, y := e.YMM(), e.YMM()
		e.VPSRLQ(operand.Imm(32), a, x)
		e.VPMULUDQ(b, x, x)
		e.VPSRLQ(operand.Imm(32), b, y)
		e.VPMULUDQ(a, y, y)
		e.VPADDQ(x, y, y)
		e.VPSLLQ(operand.Imm(32), y, y)
		e.VPMULUDQ(a, b, b)
		e.VPADDQ(y, b, b)
		return b
	}
}

// select64 compares 64-bit integers and blends. AVX2 compares signed ones only: flipping the sign
// bit of both operands puts unsigned ones in the signed order.
func (e *emitter) select64(unsigned, least bool) lane {
	var sign reg.VecVirtual
	if unsigned {
		sign = e.quads(1 << 63)
	}
	return func(s ...operand.Mem) reg.VecVirtual {
		a, b := e.load(s[0]), e.load(s[1])
		x, y := a, b
		if unsigned {
			x, y = e.YMM(), e.YMM()
			e.VPXOR(sign, a, x)
			e.VPXOR(sign, b, y)
		}
		greater := e.YMM()
		e.VPCMPGTQ(y, x, greater)
		if least {
			e.VPBLENDVB(greater, b, a, a)
		} else {
			e.VPBLENDVB(greater, a, b, a)
		}
		return a
	}
}
