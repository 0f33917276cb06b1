package tensor

import (
	"bytes"
	"math/rand/v2"
	"testing"
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
