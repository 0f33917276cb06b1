package tensor

import (
	"bytes"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// wireTypes are the types that messages of float32 may have.
var wireTypes = []Type{F16, BF16}

// wireOps are the operations of ReduceWide.
var wireOps = []Op{Sum, Avg, Min, Max}

// nearestHalf is the reference of Narrow: the bits of f rounded, by search among the numbers of t.
func nearestHalf(t Type, f float32) uint64 {
	v, g := float64(f), formats[t]
	switch {
	case math.IsNaN(v):
		return g.nan()
	case math.IsInf(v, 0):
		return g.infinite(v < 0)
	}
	return g.nearest(big.NewFloat(v), math.Signbit(v))
}

// TestNarrow compares with the reference on special and random numbers, and on those about the ties
// of every kind of number of the narrow type.
func TestNarrow(t *testing.T) {
	rng := newRand(1)
	numbers := View[float32](filled(F32, rng, 3000))
	for _, typ := range wireTypes {
		for _, bits := range specials(typ) {
			x := float32(formats[typ].value(bits))
			next := float32(formats[typ].value(bits + 1))
			tie := x + (next-x)/2
			numbers = append(numbers, x, tie, math.Nextafter32(tie, x), math.Nextafter32(tie, next))
		}
	}
	numbers = append(numbers, 65504, 65519.996, 65520, -65520, math.MaxFloat32, -math.MaxFloat32)
	src := Bytes(numbers)
	for _, typ := range wireTypes {
		t.Run(typ.String(), func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				dst, rounded := AllocBytes(len(src)/2), AllocBytes(len(src))
				Narrow(typ, dst, src)
				Round(typ, rounded, src)
				widened := AllocBytes(len(src))
				Widen(typ, widened, dst)
				if !bytes.Equal(rounded, widened) {
					t.Errorf("Round differs from Narrow and Widen")
				}
				for i, x := range numbers {
					if got, want := get(typ, dst, i), nearestHalf(typ, x); got != want {
						t.Fatalf("%g (%#x) becomes %#x, want %#x", x, math.Float32bits(x), got, want)
					}
				}
				again := AllocBytes(len(src))
				Round(typ, again, rounded)
				if !bytes.Equal(again, rounded) {
					t.Errorf("rounding again changes something")
				}
			})
		})
	}
}

// TestWiden checks all 65536 numbers of each narrow type.
func TestWiden(t *testing.T) {
	for _, typ := range wireTypes {
		t.Run(typ.String(), func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				const n = 1 << 16
				src, dst := AllocBytes(2*n), AllocBytes(4*n)
				for i := range n {
					put(typ, src, i, uint64(i))
				}
				Widen(typ, dst, src)
				for i := range n {
					got := math.Float32frombits(uint32(get(F32, dst, i)))
					want := formats[typ].value(uint64(i))
					same := float64(got) == want && math.Signbit(float64(got)) == math.Signbit(want)
					if want != want {
						same = math.Float32bits(got) == f32NaN
					}
					if !same {
						t.Fatalf("%#x becomes %g, want %g", i, got, want)
					}
				}
			})
		})
	}
}

// TestReduceWide compares, for every length about the sizes of the kernels' loops and every offset,
// with Reduce of what is widened before; so does the round trip of Narrow.
func TestReduceWide(t *testing.T) {
	for _, typ := range wireTypes {
		t.Run(typ.String(), func(t *testing.T) {
			eachPath(t, func(t *testing.T) {
				rapid.Check(t, func(r *rapid.T) {
					n := rapid.IntRange(0, 100).Draw(r, "elements")
					offset := rapid.IntRange(0, 15).Draw(r, "offset")
					rng := newRand(rapid.Uint64().Draw(r, "seed"))
					a, wide := filled(F32, rng, n), AllocBytes(4*n)
					b := newGuarded(2*n, 2*offset)
					fill(typ, rng, b.data)
					Widen(typ, wide, b.data)
					for _, op := range wireOps {
						want := loopReduce(op, F32, a, wide)
						apart, in := newGuarded(4*n, 4*offset), newGuarded(4*n, 4*offset)
						copy(in.data, a)
						op.ReduceWide(typ, apart.data, a, b.data)
						op.ReduceWide(typ, in.data, in.data, b.data)
						if !bytes.Equal(apart.data, want) || !bytes.Equal(in.data, want) {
							r.Fatalf("%v of %d elements differs", op, n)
						}
						apart.check(t)
						in.check(t)
					}
					narrow := newGuarded(2*n, 2*offset)
					Narrow(typ, narrow.data, wide)
					narrow.check(t)
					for i := range n {
						x := math.Float32frombits(uint32(get(F32, wide, i)))
						if got, want := get(typ, narrow.data, i), nearestHalf(typ, x); got != want {
							r.Fatalf("element %d of %d: %g becomes %#x, want %#x", i, n, x, got, want)
						}
					}
					in := newGuarded(4*n, 4*offset)
					copy(in.data, a)
					Round(typ, in.data, in.data)
					in.check(t)
					apart := AllocBytes(4 * n)
					Round(typ, apart, a)
					if !bytes.Equal(in.data, apart) {
						r.Fatalf("Round in place differs from Round")
					}
				})
			})
		})
	}
}

// TestWireStretches goes over the length of one call of an assembly kernel.
func TestWireStretches(t *testing.T) {
	for _, n := range []int{stretch / 4, stretch/4 + 1, stretch/4 + 8, stretch/2 + 7, stretch/2 + 9} {
		src := filled(F32, newRand(uint64(n)), n)
		for _, typ := range wireTypes {
			want, got := AllocBytes(2*n), AllocBytes(2*n)
			restore := use(loops())
			Narrow(typ, want, src)
			sum := AllocBytes(4 * n)
			Sum.ReduceWide(typ, sum, src, want)
			restore()
			Narrow(typ, got, src)
			if !bytes.Equal(got, want) {
				t.Errorf("%v: %d elements differ", typ, n)
			}
			Sum.ReduceWide(typ, src, src, got)
			if !bytes.Equal(src, sum) {
				t.Errorf("%v: sum of %d elements differs", typ, n)
			}
			src = filled(F32, newRand(uint64(n)), n)
		}
	}
}

func TestWireMisuse(t *testing.T) {
	b := AllocBytes(256)
	for name, f := range map[string]func(){
		"narrow to f32":         func() { Narrow(F32, b[:32], b[64:128]) },
		"widen i8":              func() { Widen(I8, b[:32], b[64:128]) },
		"lengths":               func() { Narrow(BF16, b[:32], b[64:124]) },
		"over itself":           func() { Narrow(BF16, b[:32], b[:64]) },
		"overlap in part":       func() { Round(F16, b[:64], b[4:68]) },
		"alignment":             func() { Narrow(F16, b[1:33], b[64:128]) },
		"alignment of source":   func() { Narrow(F16, b[:32], b[66:130]) },
		"half an element":       func() { Widen(F16, b[:62], b[64:95]) },
		"product":               func() { Prod.ReduceWide(F16, b[:64], b[:64], b[64:96]) },
		"zero operation":        func() { Op{}.ReduceWide(F16, b[:64], b[:64], b[64:96]) },
		"overlap of a":          func() { Sum.ReduceWide(F16, b[:64], b[4:68], b[128:160]) },
		"operand in the result": func() { Sum.ReduceWide(F16, b[:64], b[:64], b[32:64]) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
	Narrow(BF16, nil, nil)
	Round(BF16, b[:64], b[:64])
	Sum.ReduceWide(F16, b[:64], b[:64], b[64:96])
}

func TestWireAllocatesNothing(t *testing.T) {
	a, b := AllocBytes(4096), AllocBytes(2048)
	if n := testing.AllocsPerRun(100, func() {
		Narrow(BF16, b, a)
		Widen(BF16, a, b)
		Round(F16, a, a)
		Max.ReduceWide(F16, a, a, b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
