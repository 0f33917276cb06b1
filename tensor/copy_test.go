package tensor

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// TestCopyCold copies vectors of all lengths around those of blocks, from and to everywhere in a cache line, and
// nothing else.
func TestCopyCold(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		g := rand.New(rand.NewPCG(1, 2))
		const room = 2*stretch + 3*coldBlock
		from, to := AllocBytes(room), AllocBytes(room)
		for i := range from {
			from[i] = byte(g.Uint32())
		}
		check := func(n, src, dst int) {
			t.Helper()
			for i := range to {
				to[i] = ^from[i]
			}
			want := bytes.Clone(to)
			copy(want[dst:], from[src:src+n])
			CopyCold(to[dst:dst+n], from[src:src+n])
			if !bytes.Equal(to, want) {
				t.Fatalf("%d bytes from %d to %d are not copied, or others", n, src, dst)
			}
		}
		full := from
		from, to = from[:4*coldBlock], to[:4*coldBlock]
		for n := range 2*coldBlock + 2 {
			check(n, g.IntN(64), g.IntN(64))
		}
		for at := range 64 {
			check(2*coldBlock+at, at, 63-at)
		}
		from, to = full, to[:room]
		check(2*stretch+coldBlock+5, 3, 33)
	})
}

func TestCopyColdWantsEqualLengths(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 4 * coldBlock} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%d bytes are copied to %d", n, n+1)
					}
				}()
				CopyCold(make([]byte, n+1), make([]byte, n))
			}()
		}
	})
}

// TestColdKernel looks at what a cold kernel is given: what it may be, and as much as it can be.
func TestColdKernel(t *testing.T) {
	k := loops()
	var cold int
	k.reduce[F32][codeSum].cold = func(dst, a, b *byte, n uintptr) {
		if uintptr(unsafe.Pointer(dst))%vectorBytes != 0 || n < vectorBytes || n > stretch || n%4 != 0 {
			t.Errorf("a cold kernel is given %d bytes at %p", n, dst)
		}
		cold += int(n)
		sumF := k.reduce[F32][codeSum].loop
		sumF(unsafe.Slice(dst, n), unsafe.Slice(a, n), unsafe.Slice(b, n))
	}
	defer use(k)()
	a, b, dst := AllocBytes(2*stretch+4096), AllocBytes(2*stretch+4096), AllocBytes(2*stretch+4096)
	for _, test := range []struct {
		op            Op
		offset, bytes int
		inPlace       bool
		cold          int
	}{
		{Sum, 0, 4096, false, 4096},
		{Avg, 0, 4096, false, 4096},
		{Sum, 4, 4096, false, 4096 - 28},
		{Sum, 28, 4 + 32, false, 32},
		{Sum, 28, 32, false, 0},
		{Sum, 0, 28, false, 0},
		{Sum, 0, 0, false, 0},
		{Sum, 0, 4096, true, 0},
		{Max, 0, 4096, false, 0},
		{Sum, 0, stretch + 4, false, stretch},
		{Sum, 32, 2*stretch + 36, false, 2*stretch + 36},
	} {
		cold = 0
		to := dst[test.offset : test.offset+test.bytes]
		x, y := a[:test.bytes], b[:test.bytes]
		if test.inPlace {
			test.op.ReduceCold(F32, to, x, to)
			x = to
		}
		test.op.ReduceCold(F32, to, x, y)
		if cold != test.cold {
			t.Errorf("%v of %d bytes at %d, in place %v: %d bytes past the caches, want %d", test.op, test.bytes,
				test.offset, test.inPlace, cold, test.cold)
		}
	}
}

func BenchmarkReduceCold(b *testing.B) {
	dst, x, y := AllocBytes(64<<20), AllocBytes(64<<20), AllocBytes(64<<20)
	for name, f := range map[string]func(Op, Type, []byte, []byte, []byte){
		"Reduce": Op.Reduce, "ReduceCold": Op.ReduceCold,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				for at := 0; at < len(dst); at += 256 << 10 {
					f(Sum, F32, dst[at:at+256<<10], x[at:at+256<<10], y[at:at+256<<10])
				}
			}
		})
	}
}

func BenchmarkCopyCold(b *testing.B) {
	dst, src := AllocBytes(64<<20), AllocBytes(64<<20)
	for name, f := range map[string]func(dst, src []byte){
		"copy": func(dst, src []byte) { copy(dst, src) }, "cold": CopyCold,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				for at := 0; at < len(dst); at += 256 << 10 {
					f(dst[at:at+256<<10], src[at:at+256<<10])
				}
			}
		})
	}
}
