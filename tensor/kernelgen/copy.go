package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// copies emits the kernel that copies past the caches.
func (e *emitter) copies() {
	const unroll = 8
	e.begin("copyCold"+suffix, "func(dst, src *byte, n uintptr)")
	e.Doc(
		"copyCold"+suffix+" copies n bytes to where no cache keeps them.",
		fmt.Sprintf("n is a multiple of %d, and dst one of %d; dst and src are apart.", unroll*width, width),
	)
	dst := e.Load(e.Param("dst"), e.GP64())
	src := e.Load(e.Param("src"), e.GP64())
	n := e.Load(e.Param("n"), e.GP64())
	e.turns("blocks", n, unroll*width, func() {
		var block []reg.VecVirtual
		for i := range unroll {
			block = append(block, e.load(operand.Mem{Base: src, Disp: i * width}))
		}
		for i, x := range block {
			e.VMOVNTDQ(x, operand.Mem{Base: dst, Disp: i * width})
		}
		e.ADDQ(operand.U32(unroll*width), dst)
		e.ADDQ(operand.U32(unroll*width), src)
	})
	e.SFENCE()
	e.VZEROUPPER()
	e.RET()
}
