package tensor

import (
	"fmt"
	"testing"
)

func benchmarkPaths(b *testing.B, run func(b *testing.B)) {
	for _, p := range paths()[:2] {
		b.Run("path="+p.name, func(b *testing.B) {
			defer use(p.kernels)()
			run(b)
		})
	}
}

// benchmarkData returns ordinary numbers: floating-point ones are in [1, 2), because subnormal
// operands or results cost a processor many times a number's time.
func benchmarkData(t Type, n int) (dst, x, y []byte) {
	dst, x, y = AllocBytes(n), AllocBytes(n), AllocBytes(n)
	rng := newRand(1)
	for i := range n / t.Size() {
		p, q := rng.Uint64(), rng.Uint64()
		if f, ok := formats[t]; ok {
			fraction := uint64(1)<<f.fraction - 1
			one := f.inf() >> 1 &^ fraction
			p, q = one|p&fraction, one|q&fraction
		}
		put(t, x, i, p)
		put(t, y, i, q)
	}
	return dst, x, y
}

// BenchmarkReduce reports the bytes of one array a second; memory traffic is three times that.
func BenchmarkReduce(b *testing.B) {
	for _, t := range Types() {
		for _, op := range Ops()[:4] {
			for _, n := range []int{256 << 10, 16 << 20} {
				b.Run(fmt.Sprintf("type=%v/op=%v/bytes=%d", t, op, n), func(b *testing.B) {
					dst, x, y := benchmarkData(t, n)
					benchmarkPaths(b, func(b *testing.B) {
						b.SetBytes(int64(n))
						for b.Loop() {
							op.Reduce(t, dst, x, y)
						}
					})
				})
			}
		}
	}
}

// BenchmarkReduceInPlace is the form that an allreduce runs: dst is an operand.
func BenchmarkReduceInPlace(b *testing.B) {
	for _, t := range []Type{F64, F32, F16, BF16} {
		for _, n := range []int{64, 4 << 10, 256 << 10, 16 << 20} {
			b.Run(fmt.Sprintf("type=%v/op=max/bytes=%d", t, n), func(b *testing.B) {
				_, x, y := benchmarkData(t, n)
				benchmarkPaths(b, func(b *testing.B) {
					b.SetBytes(int64(n))
					for b.Loop() {
						Max.Reduce(t, x, x, y)
					}
				})
			})
		}
	}
}

func BenchmarkFinish(b *testing.B) {
	for _, t := range []Type{F64, F32, F16, BF16} {
		b.Run(fmt.Sprintf("type=%v/bytes=%d", t, 256<<10), func(b *testing.B) {
			_, dst, _ := benchmarkData(t, 256<<10)
			benchmarkPaths(b, func(b *testing.B) {
				b.SetBytes(256 << 10)
				for b.Loop() {
					Avg.Finish(t, dst, 1) // by one: the numbers stay ordinary
				}
			})
		})
	}
}

// BenchmarkWire reports the bytes of the float32 vector a second.
func BenchmarkWire(b *testing.B) {
	const n = 512 << 10
	for _, t := range wireTypes {
		wide, _, _ := benchmarkData(F32, n)
		sum, addend, _ := benchmarkData(F32, n)
		copy(wide, addend)
		narrow := AllocBytes(n / 2)
		Narrow(t, narrow, wide)
		for _, call := range []struct {
			name string
			run  func()
		}{
			{"narrow", func() { Narrow(t, narrow, wide) }},
			{"widen", func() { Widen(t, wide, narrow) }},
			{"round", func() { Round(t, wide, wide) }},
			{"sum", func() { Sum.ReduceWide(t, sum, wide, narrow) }},
			{"min", func() { Min.ReduceWide(t, sum, wide, narrow) }},
		} {
			b.Run(fmt.Sprintf("type=%v/call=%s", t, call.name), func(b *testing.B) {
				benchmarkPaths(b, func(b *testing.B) {
					b.SetBytes(n)
					for b.Loop() {
						call.run()
					}
				})
			})
		}
	}
}
