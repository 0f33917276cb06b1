//go:build !noasm

package tensor

import "golang.org/x/sys/cpu"

//go:generate go -C kernelgen run .

// fastest returns the assembly that this processor and its operating system can run.
func fastest() *kernels {
	return assembly(cpu.X86.HasAVX2, cpu.X86.HasAVX2 && cpu.X86.HasF16C)
}

// assembly returns the loops with everything replaced that the given features allow. F16C alone is
// of no use: its kernels need AVX2 too.
func assembly(avx2, f16c bool) *kernels {
	k := loops()
	if !avx2 {
		return k
	}
	for t, row := range map[Type][opCount]vectorFunc{
		F64:  {codeSum: sumF64AVX2, codeProd: prodF64AVX2, codeMin: minF64AVX2, codeMax: maxF64AVX2},
		F32:  {codeSum: sumF32AVX2, codeProd: prodF32AVX2, codeMin: minF32AVX2, codeMax: maxF32AVX2},
		F16:  {codeMin: minF16AVX2, codeMax: maxF16AVX2},
		BF16: {codeSum: sumBF16AVX2, codeProd: prodBF16AVX2, codeMin: minBF16AVX2, codeMax: maxBF16AVX2},
		I8:   {codeSum: sumI8AVX2, codeProd: prodI8AVX2, codeMin: minI8AVX2, codeMax: maxI8AVX2},
		U8:   {codeSum: sumI8AVX2, codeProd: prodI8AVX2, codeMin: minU8AVX2, codeMax: maxU8AVX2},
		I32:  {codeSum: sumI32AVX2, codeProd: prodI32AVX2, codeMin: minI32AVX2, codeMax: maxI32AVX2},
		I64:  {codeSum: sumI64AVX2, codeProd: prodI64AVX2, codeMin: minI64AVX2, codeMax: maxI64AVX2},
		U64:  {codeSum: sumI64AVX2, codeProd: prodI64AVX2, codeMin: minU64AVX2, codeMax: maxU64AVX2},
	} {
		for code, f := range row {
			k.reduce[t][code].vector = f
		}
	}
	for t, f := range map[Type]vectorFunc{
		F64: sumF64ColdAVX2, F32: sumF32ColdAVX2, BF16: sumBF16ColdAVX2, I8: sumI8ColdAVX2, U8: sumI8ColdAVX2,
		I32: sumI32ColdAVX2, I64: sumI64ColdAVX2, U64: sumI64ColdAVX2,
	} {
		k.reduce[t][codeSum].cold = f
	}
	k.copyCold = copyColdAVX2
	k.finish[F64].vector = divF64AVX2
	k.finish[F32].vector = divF32AVX2
	k.finish[BF16].vector = divBF16AVX2
	w := &k.wire[BF16]
	w.narrow.vector, w.widen.vector, w.round.vector = narrowBF16AVX2, widenBF16AVX2, roundBF16AVX2
	w.reduce[codeSum].vector = sumWideBF16AVX2
	w.reduce[codeMin].vector = minWideBF16AVX2
	w.reduce[codeMax].vector = maxWideBF16AVX2
	if f16c {
		w = &k.wire[F16]
		w.narrow.vector, w.widen.vector, w.round.vector = narrowF16AVX2, widenF16AVX2, roundF16AVX2
		w.reduce[codeSum].vector = sumWideF16AVX2
		w.reduce[codeMin].vector = minWideF16AVX2
		w.reduce[codeMax].vector = maxWideF16AVX2
		k.reduce[F16][codeSum].vector, k.reduce[F16][codeSum].cold = sumF16AVX2, sumF16ColdAVX2
		k.reduce[F16][codeProd].vector = prodF16AVX2
		k.finish[F16].vector = divF16AVX2
	}
	return k
}
