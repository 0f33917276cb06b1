package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// width is the bytes that a lane computes: one YMM register.
const width = 32

// suffix keeps the kernels apart from the plain loops of the same names.
const suffix = "AVX2"

// emitter is avo's context with the loop of every kernel and the constants they share.
type emitter struct {
	*build.Context
	constants map[string]operand.Mem
}

// A lane emits the instructions that compute width bytes of the destination from the operands that
// start at the given places, one for each source pointer.
type lane func(sources ...operand.Mem) reg.VecVirtual

// binary emits func name(dst, a, b *byte, n uintptr). prepare loads what stays in registers and
// returns the lane; meaning is the loop body that the kernel replaces.
func (e *emitter) binary(name, meaning string, unroll int, prepare func() lane) {
	e.reduction(name, meaning, "dst is a, or b, or apart from both.", unroll, false, prepare)
}

// sum emits what binary does, and a second kernel whose results go past the caches: most of what is large is summed.
func (e *emitter) sum(name, meaning string, unroll int, prepare func() lane) {
	e.binary(name, meaning, unroll, prepare)
	where := fmt.Sprintf("dst, which no cache keeps, begins at a multiple of %d, apart from a and b.", width)
	e.reduction(name+"Cold", meaning, where, unroll, true, prepare)
}

func (e *emitter) reduction(name, meaning, where string, unroll int, cold bool, prepare func() lane) {
	name += suffix
	e.begin(name, "func(dst, a, b *byte, n uintptr)")
	e.Doc(
		fmt.Sprintf("%s computes n >= %d bytes of whole elements:", name, width),
		"",
		"\tfor i := range dst {",
		"\t\tdst[i] = "+meaning,
		"\t}",
		"",
		where,
	)
	dst := e.Load(e.Param("dst"), e.GP64())
	a := e.Load(e.Param("a"), e.GP64())
	b := e.Load(e.Param("b"), e.GP64())
	n := e.Load(e.Param("n"), e.GP64())
	e.loop(dst, []reg.Register{a, b}, n, unroll, cold, prepare())
}

// unary emits func name(dst *byte, n uintptr, count int).
func (e *emitter) unary(name, meaning string, unroll int, prepare func(count reg.Register) lane) {
	name += suffix
	e.begin(name, "func(dst *byte, n uintptr, count int)")
	e.Doc(
		fmt.Sprintf("%s computes n >= %d bytes of whole elements:", name, width),
		"",
		"\tfor i := range dst {",
		"\t\tdst[i] = "+meaning,
		"\t}",
	)
	dst := e.Load(e.Param("dst"), e.GP64())
	n := e.Load(e.Param("n"), e.GP64())
	count := e.Load(e.Param("count"), e.GP64())
	e.loop(dst, []reg.Register{dst}, n, unroll, false, prepare(count))
}

func (e *emitter) begin(name, signature string) {
	e.Function(name)
	e.Attributes(attr.NOSPLIT)
	e.SignatureExpr(signature)
	e.Pragma("noescape")
}

// loop emits the common shape. The last width bytes, which may overlap the vector before, are
// computed first and stored last: they must be read before the loop writes over a source that is
// also the destination. So no kernel has a scalar end.
func (e *emitter) loop(
	dst reg.Register, sources []reg.Register, n reg.Register, unroll int, cold bool, f lane,
) {
	store := e.VMOVDQU
	if cold {
		store = e.VMOVNTDQ
	}
	at := func(disp int) []operand.Mem {
		var m []operand.Mem
		for _, s := range sources {
			m = append(m, operand.Mem{Base: s, Disp: disp})
		}
		return m
	}
	e.Comment("The last vector, to be stored at the end.")
	var ends []operand.Mem
	for _, m := range at(-width) {
		ends = append(ends, m.Idx(n, 1))
	}
	last := f(ends...)
	lastAt := e.GP64()
	e.LEAQ(operand.Mem{Base: dst, Index: n, Scale: 1, Disp: -width}, lastAt)

	advance := func(bytes int) {
		e.ADDQ(operand.U32(bytes), dst)
		for _, s := range sources {
			if s != dst {
				e.ADDQ(operand.U32(bytes), s)
			}
		}
	}
	e.turns("blocks", n, unroll*width, func() {
		var results []reg.VecVirtual
		for i := range unroll {
			results = append(results, f(at(i*width)...))
		}
		for i, r := range results {
			store(r, operand.Mem{Base: dst, Disp: i * width})
		}
		advance(unroll * width)
	})
	e.turns("vectors", n, width, func() {
		store(f(at(0)...), operand.Mem{Base: dst})
		advance(width)
	})

	e.VMOVDQU(last, operand.Mem{Base: lastAt})
	if cold {
		e.SFENCE()
	}
	e.VZEROUPPER()
	e.RET()
}

// turns emits body, which moves the pointers on, as often as step fits into n, and leaves the rest
// in n.
func (e *emitter) turns(label string, n reg.Register, step int, body func()) {
	e.SUBQ(operand.U32(step), n)
	e.JB(operand.LabelRef(label + "_done"))
	e.Label(label)
	body()
	e.SUBQ(operand.U32(step), n)
	e.JAE(operand.LabelRef(label))
	e.Label(label + "_done")
	e.ADDQ(operand.U32(step), n)
}

// load returns a register with the width bytes at m.
func (e *emitter) load(m operand.Mem) reg.VecVirtual {
	x := e.YMM()
	e.VMOVDQU(m, x)
	return x
}

// words, doubles and quads return a register that repeats the constant.

func (e *emitter) words(c uint16) reg.VecVirtual {
	x := e.YMM()
	e.VPBROADCASTW(e.constant(fmt.Sprintf("w%04x", c), operand.U16(c)), x)
	return x
}

func (e *emitter) doubles(c uint32) reg.VecVirtual {
	x := e.YMM()
	e.VPBROADCASTD(e.constant(fmt.Sprintf("d%08x", c), operand.U32(c)), x)
	return x
}

func (e *emitter) quads(c uint64) reg.VecVirtual {
	x := e.YMM()
	e.VPBROADCASTQ(e.constant(fmt.Sprintf("q%016x", c), operand.U64(c)), x)
	return x
}

func (e *emitter) constant(name string, c operand.Constant) operand.Mem {
	if m, ok := e.constants[name]; ok {
		return m
	}
	if e.constants == nil {
		e.constants = make(map[string]operand.Mem)
	}
	m := e.ConstData(name, c)
	e.constants[name] = m
	return m
}
