package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// group is the elements that a lane between two element types computes: a YMM register of binary32.
const group = width / 4

// vector is a pointer of a kernel between two element types, and the bytes of its elements.
type vector struct {
	name string
	size int
}

// between emits func name(vectors *byte, n uintptr), for n elements; the first vector is the
// destination. Its shape is that of loop, but for pointers that move on by different strides.
func (e *emitter) between(name, meaning string, unroll int, vectors []vector, prepare func() lane) {
	var names []string
	for _, v := range vectors {
		names = append(names, v.name)
	}
	name += suffix
	e.begin(name, fmt.Sprintf("func(%s *byte, n uintptr)", strings.Join(names, ", ")))
	e.Doc(
		fmt.Sprintf("%s computes n >= %d elements:", name, group),
		"",
		"\tfor i := range n {",
		"\t\tdst[i] = "+meaning,
		"\t}",
		"",
		"dst is apart from the others, or is one whose elements are of its size.",
	)
	var at []reg.Register
	for _, v := range names {
		at = append(at, e.Load(e.Param(v), e.GP64()))
	}
	n := e.Load(e.Param("n"), e.GP64())
	f := prepare()

	e.Comment("The last group, to be stored at the end.")
	var ends []operand.Mem
	for k, v := range vectors {
		ends = append(ends, operand.Mem{
			Base: at[k], Index: n, Scale: uint8(v.size), Disp: -group * v.size,
		})
	}
	last := f(ends[1:]...)
	lastAt := e.GP64()
	e.LEAQ(ends[0], lastAt)

	place := func(i int) (m []operand.Mem) {
		for k, v := range vectors {
			m = append(m, operand.Mem{Base: at[k], Disp: i * group * v.size})
		}
		return m
	}
	for _, turn := range []struct {
		label string
		times int
	}{{"blocks", unroll}, {"groups", 1}} {
		e.turns(turn.label, n, turn.times*group, func() {
			var results []reg.VecVirtual
			for i := range turn.times {
				results = append(results, f(place(i)[1:]...))
			}
			for i, r := range results {
				e.put(vectors[0], r, place(i)[0])
			}
			for k, v := range vectors {
				e.ADDQ(operand.U32(turn.times*group*v.size), at[k])
			}
		})
	}
	e.put(vectors[0], last, operand.Mem{Base: lastAt})
	e.VZEROUPPER()
	e.RET()
}

// put stores a group: half a register for 16-bit elements.
func (e *emitter) put(v vector, x reg.VecVirtual, m operand.Mem) {
	if v.size == 2 {
		e.VMOVDQU(x.AsX(), m)
		return
	}
	e.VMOVDQU(x, m)
}

// wires emits what a reduction of f32 needs whose messages are f16 or bf16.
func (e *emitter) wires() {
	dst32, src32, a := vector{"dst", 4}, vector{"src", 4}, vector{"a", 4}
	dst16, src16, b := vector{"dst", 2}, vector{"src", 2}, vector{"b", 2}
	p := e.binary32()
	for _, h := range []half{
		{"F16", e.openF16, e.pressF16, e.cutF16},
		{"BF16", e.openBF16, e.pressBF16, e.cutBF16},
	} {
		name := h.name
		rounded := "To" + goName[name] + "(src[i])"
		e.between("round"+name, rounded+".Float32()", 4, []vector{dst32, src32}, func() lane {
			cut := h.cut()
			return func(s ...operand.Mem) reg.VecVirtual { return cut(e.load(s[0])) }
		})
		e.between("narrow"+name, rounded, 4, []vector{dst16, src32}, func() lane {
			press := h.press()
			return func(s ...operand.Mem) reg.VecVirtual { return press(e.load(s[0])) }
		})
		e.between("widen"+name, "src[i].Float32()", 4, []vector{dst32, src16}, func() lane {
			nan := p.nan()
			open := h.open()
			return func(s ...operand.Mem) reg.VecVirtual { return e.canonical(p, nan, open(s[0])) }
		})
		wide := []vector{dst32, a, b}
		e.between("sumWide"+name, "a[i] + b[i].Float32()", 4, wide, func() lane {
			nan := p.nan()
			open := h.open()
			return func(s ...operand.Mem) reg.VecVirtual {
				x := open(s[1])
				p.add(s[0], x, x)
				return e.canonical(p, nan, x)
			}
		})
		for _, x := range []struct {
			name                 string
			instruction, combine func(...operand.Op)
		}{{"min", p.min, p.or}, {"max", p.max, p.and}} {
			e.between(x.name+"Wide"+name, x.name+"(a[i], b[i].Float32())", 2, wide, func() lane {
				extreme := e.extremeOf(p, x.instruction, x.combine)
				open := h.open()
				return func(s ...operand.Mem) reg.VecVirtual { return extreme(e.load(s[0]), open(s[1])) }
			})
		}
	}
}

var goName = map[string]string{"F16": "Float16", "BF16": "BFloat16"}

// half is how a group of a 16-bit type becomes binary32 and the other way. Each loads its constants
// and returns what converts.
type half struct {
	name  string
	open  func() func(m operand.Mem) reg.VecVirtual    // from memory to a register
	press func() func(x reg.VecVirtual) reg.VecVirtual // rounded, into half a register
	cut   func() func(x reg.VecVirtual) reg.VecVirtual // rounded, still binary32
}

func (e *emitter) openF16() func(m operand.Mem) reg.VecVirtual {
	return func(m operand.Mem) reg.VecVirtual {
		x := e.YMM()
		e.VCVTPH2PS(m, x)
		return x
	}
}

func (e *emitter) openBF16() func(m operand.Mem) reg.VecVirtual {
	return func(m operand.Mem) reg.VecVirtual {
		x := e.YMM()
		e.VPMOVZXWD(m, x)
		e.VPSLLD(operand.Imm(16), x, x)
		return x
	}
}

// pressF16 makes NaN canonical first, which its conversion keeps.
func (e *emitter) pressF16() func(x reg.VecVirtual) reg.VecVirtual {
	p := e.binary32()
	nan := p.nan()
	return func(x reg.VecVirtual) reg.VecVirtual {
		e.canonical(p, nan, x)
		e.VCVTPS2PH(nearestEven, x, x.AsX())
		return x
	}
}

func (e *emitter) cutF16() func(x reg.VecVirtual) reg.VecVirtual {
	press := e.pressF16()
	return func(x reg.VecVirtual) reg.VecVirtual {
		press(x)
		e.VCVTPH2PS(x.AsX(), x)
		return x
	}
}

func (e *emitter) cutBF16() func(x reg.VecVirtual) reg.VecVirtual {
	round, upper := e.roundBF16(), e.doubles(0xFFFF0000)
	return func(x reg.VecVirtual) reg.VecVirtual {
		round(x)
		e.VPAND(upper, x, x)
		return x
	}
}

func (e *emitter) pressBF16() func(x reg.VecVirtual) reg.VecVirtual {
	round := e.roundBF16()
	return func(x reg.VecVirtual) reg.VecVirtual {
		round(x)
		e.VPSRLD(operand.Imm(16), x, x)
		e.VPACKUSDW(x, x, x) // each half of the register on its own
		e.VPERMQ(operand.Imm(0b1000), x, x)
		return x
	}
}
