package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	nan64 = 0x7FF8000000000000
	nan32 = 0x7FC00000
)

// unordered is the comparison predicate "one is NaN".
var unordered = operand.Imm(3)

// precision is the instructions of binary32 or of binary64.
type precision struct {
	name                                             string
	add, mul, div, min, max, or, and, cmp, broadcast func(...operand.Op)
	blend                                            func(mask, yes, no, dst operand.Op)
	convert                                          func(count, upper, dst operand.Op)
	nan                                              func() reg.VecVirtual
}

func (e *emitter) binary64() precision {
	return precision{
		name: "F64", add: e.VADDPD, mul: e.VMULPD, div: e.VDIVPD, min: e.VMINPD, max: e.VMAXPD,
		or: e.VORPD, and: e.VANDPD, cmp: e.VCMPPD, blend: e.VBLENDVPD, convert: e.VCVTSI2SDQ,
		nan:       func() reg.VecVirtual { return e.quads(nan64) },
		broadcast: e.VBROADCASTSD,
	}
}

func (e *emitter) binary32() precision {
	return precision{
		name: "F32", add: e.VADDPS, mul: e.VMULPS, div: e.VDIVPS, min: e.VMINPS, max: e.VMAXPS,
		or: e.VORPS, and: e.VANDPS, cmp: e.VCMPPS, blend: e.VBLENDVPS, convert: e.VCVTSI2SSQ,
		nan:       func() reg.VecVirtual { return e.doubles(nan32) },
		broadcast: e.VBROADCASTSS,
	}
}

// floats emits the kernels of f32 and f64.
func (e *emitter) floats() {
	for _, p := range []precision{e.binary64(), e.binary32()} {
		e.sum("sum"+p.name, "a[i] + b[i]", 8, func() lane { return e.arithmetic(p, p.add) })
		e.binary("prod"+p.name, "a[i] * b[i]", 8, func() lane { return e.arithmetic(p, p.mul) })
		e.binary("min"+p.name, "min(a[i], b[i])", 4, func() lane { return e.extreme(p, p.min, p.or) })
		e.binary("max"+p.name, "max(a[i], b[i])", 4, func() lane { return e.extreme(p, p.max, p.and) })
		e.unary("div"+p.name, "dst[i] / count", 4, func(count reg.Register) lane {
			divisor := e.divisor(count, p.convert, p.broadcast)
			nan := p.nan()
			return func(s ...operand.Mem) reg.VecVirtual {
				x := e.load(s[0])
				p.div(divisor, x, x)
				return e.canonical(p, nan, x)
			}
		})
	}
}

// divisor converts count to floating point and repeats it.
func (e *emitter) divisor(
	count reg.Register, convert func(count, upper, dst operand.Op), broadcast func(...operand.Op),
) reg.VecVirtual {
	d := e.YMM()
	e.VXORPS(d.AsX(), d.AsX(), d.AsX()) // the conversion merges into it
	convert(count, d.AsX(), d.AsX())
	broadcast(d.AsX(), d)
	return d
}

// arithmetic is one instruction and the canonical NaN.
func (e *emitter) arithmetic(p precision, instruction func(...operand.Op)) lane {
	nan := p.nan()
	return func(s ...operand.Mem) reg.VecVirtual {
		x := e.load(s[0])
		instruction(s[1], x, x)
		return e.canonical(p, nan, x)
	}
}

func (e *emitter) canonical(p precision, nan, x reg.VecVirtual) reg.VecVirtual {
	mask := e.YMM()
	p.cmp(unordered, x, x, mask)
	p.blend(mask, nan, x, x)
	return x
}

// extreme is minimum or maximum of two vectors in memory.
func (e *emitter) extreme(p precision, instruction, combine func(...operand.Op)) lane {
	extreme := e.extremeOf(p, instruction, combine)
	return func(s ...operand.Mem) reg.VecVirtual { return extreme(e.load(s[0]), e.load(s[1])) }
}

// extremeOf is minimum or maximum of IEEE 754-2019. The instruction returns its second operand if
// both are zeros, so it runs both ways: the two results differ in the signs of zeros only, and
// combining them (or for minimum, and for maximum) leaves the right sign.
func (e *emitter) extremeOf(
	p precision, instruction, combine func(...operand.Op),
) func(a, b reg.VecVirtual) reg.VecVirtual {
	nan := p.nan()
	return func(a, b reg.VecVirtual) reg.VecVirtual {
		x, y := e.YMM(), e.YMM()
		instruction(b, a, x)
		instruction(a, b, y)
		combine(x, y, y)
		mask := e.YMM()
		p.cmp(unordered, a, b, mask)
		p.blend(mask, nan, y, y)
		return y
	}
}
