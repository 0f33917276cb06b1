//go:build !noasm

package tensor

import (
	"testing"

	"golang.org/x/sys/cpu"
)

func init() {
	if cpu.X86.HasAVX2 {
		lesserPaths = append(lesserPaths, path{"asm without f16c", assembly(true, false)})
	}
}

// TestAssemblyComplete: with all features every operation has a kernel, with fewer only what the
// features carry, and the loop always stays.
func TestAssemblyComplete(t *testing.T) {
	for i := range 4 {
		avx2, f16c := i&1 != 0, i&2 != 0
		k := assembly(avx2, f16c)
		for _, typ := range Types() {
			for _, op := range Ops()[:4] {
				needsF16C := typ == F16 && (op == Sum || op == Prod)
				want := avx2 && (f16c || !needsF16C)
				if r := k.reduce[typ][op.code]; (r.vector != nil) != want || r.loop == nil {
					t.Errorf("avx2 %t, f16c %t: %v %v: kernel %t, want %t",
						avx2, f16c, op, typ, r.vector != nil, want)
				}
			}
			if !typ.float() {
				continue
			}
			if typ == F16 || typ == BF16 {
				want := avx2 && (f16c || typ == BF16)
				w := &k.wire[typ]
				for _, has := range []bool{
					w.narrow.vector != nil, w.widen.vector != nil, w.round.vector != nil,
					w.reduce[codeSum].vector != nil, w.reduce[codeMin].vector != nil,
					w.reduce[codeMax].vector != nil,
				} {
					if has != want {
						t.Errorf("avx2 %t, f16c %t: float32 and %v: kernel %t, want %t",
							avx2, f16c, typ, has, want)
					}
				}
			}
			want := avx2 && (f16c || typ != F16)
			if d := k.finish[typ]; (d.vector != nil) != want || d.loop == nil {
				t.Errorf("avx2 %t, f16c %t: finish %v: kernel %t, want %t",
					avx2, f16c, typ, d.vector != nil, want)
			}
		}
	}
}
