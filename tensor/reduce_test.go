package tensor

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// supported calls f for every built-in operation and every type that it is defined for.
func supported(f func(op Op, typ Type)) {
	for _, typ := range Types() {
		for _, op := range Ops() {
			if op.Supports(typ) == nil {
				f(op, typ)
			}
		}
	}
}

// guarded is n bytes at an offset from a multiple of 64, with a pattern before and behind.
type guarded struct{ all, data []byte }

const guard = 64

func newGuarded(n, offset int) guarded {
	all := AllocBytes(guard + offset + n + guard)
	for i := range all {
		all[i] = byte(0xA5 ^ i)
	}
	return guarded{all, all[guard+offset : guard+offset+n]}
}

func (g guarded) check(t *testing.T) {
	t.Helper()
	start := cap(g.all) - cap(g.data)
	for i, c := range g.all {
		if (i < start || i >= start+len(g.data)) && c != byte(0xA5^i) {
			t.Fatalf("byte %d outside the %d of dst was overwritten", i-start, len(g.data))
		}
	}
}

// loopReduce is Reduce by the plain loops, into memory of its own.
func loopReduce(op Op, typ Type, a, b []byte) []byte {
	defer use(loops())()
	dst := AllocBytes(len(a))
	op.Reduce(typ, dst, a, b)
	return dst
}

func loopFinish(op Op, typ Type, a []byte, n int) []byte {
	defer use(loops())()
	dst := AllocBytes(len(a))
	copy(dst, a)
	op.Finish(typ, dst, n)
	return dst
}

// forms runs Reduce and ReduceCold into memory apart, into a and into b, and compares with want.
func forms(t *testing.T, op Op, typ Type, a, b, want []byte, offset int) {
	t.Helper()
	n := len(want)
	check := func(form string, g guarded) {
		t.Helper()
		g.check(t)
		if !bytes.Equal(g.data, want) {
			i := firstDifference(typ, g.data, want)
			t.Fatalf("%v %v, %d bytes, offset %d, %s: element %d: %#x op %#x = %#x, want %#x", op, typ, n,
				offset, form, i, get(typ, a, i), get(typ, b, i), get(typ, g.data, i), get(typ, want, i))
		}
	}
	for name, reduce := range map[string]func(Op, Type, []byte, []byte, []byte){
		"Reduce": Op.Reduce, "ReduceCold": Op.ReduceCold,
	} {
		apart := newGuarded(n, offset)
		reduce(op, typ, apart.data, a, b)
		check(name+" apart", apart)
		g := newGuarded(n, offset)
		copy(g.data, a)
		reduce(op, typ, g.data, g.data, b)
		check(name+" into a", g)
		g = newGuarded(n, offset)
		copy(g.data, b)
		reduce(op, typ, g.data, a, g.data)
		check(name+" into b", g)
	}
}

func firstDifference(typ Type, x, y []byte) int {
	for i := range len(x) / typ.Size() {
		if get(typ, x, i) != get(typ, y, i) {
			return i
		}
	}
	return -1
}

func TestReduceEveryLength(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := newRand(1)
		supported(func(op Op, typ Type) {
			for n := range 131 {
				for _, elements := range []int{0, 1, 3} {
					offset := elements * typ.Size()
					a, b := newGuarded(n*typ.Size(), offset), newGuarded(n*typ.Size(), typ.Size())
					fill(typ, rng, a.data)
					fill(typ, rng, b.data)
					forms(t, op, typ, a.data, b.data, loopReduce(op, typ, a.data, b.data), offset)
					a.check(t)
					b.check(t)
				}
			}
		})
	})
}

// TestReduceAcrossStretches covers vectors that take more than one call of a kernel, with every
// kind of rest.
func TestReduceAcrossStretches(t *testing.T) {
	rng := newRand(2)
	for _, typ := range Types() {
		a, b := filled(typ, rng, (stretch+256)/typ.Size()), filled(typ, rng, (stretch+256)/typ.Size())
		for _, more := range []int{-8, 0, 8, 24, 32, 40} {
			n := stretch + more
			want := loopReduce(Max, typ, a[:n], b[:n])
			got := AllocBytes(n)
			Max.Reduce(typ, got, a[:n], b[:n])
			if !bytes.Equal(got, want) {
				t.Errorf("max %v of %d bytes: element %d differs from the loop",
					typ, n, firstDifference(typ, got, want))
			}
			for _, offset := range []int{0, 8} { // of dst, which cold kernels want to begin at a multiple
				forms(t, Sum, typ, a[:n], b[:n], loopReduce(Sum, typ, a[:n], b[:n]), offset)
			}
			if Avg.Supports(typ) != nil {
				continue
			}
			want = loopFinish(Avg, typ, a[:n], 3)
			copy(got, a[:n])
			Avg.Finish(typ, got, 3)
			if !bytes.Equal(got, want) {
				t.Errorf("finish %v of %d bytes: element %d differs from the loop",
					typ, n, firstDifference(typ, got, want))
			}
		}
	}
}

// TestReduceSpecials holds every path to a reference that shares no code with either.
func TestReduceSpecials(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		supported(func(op Op, typ Type) {
			values := specials(typ)
			n := len(values)
			a, b := AllocBytes(n*n*typ.Size()), AllocBytes(n*n*typ.Size())
			for i := range n * n {
				put(typ, a, i, values[i/n])
				put(typ, b, i, values[i%n])
			}
			dst := AllocBytes(len(a))
			op.Reduce(typ, dst, a, b)
			cold := AllocBytes(len(a))
			op.ReduceCold(typ, cold, a, b)
			for i := range n * n {
				x, y := values[i/n], values[i%n]
				for _, result := range [][]byte{dst, cold} {
					if got, want := get(typ, result, i), reference(op, typ, x, y); got != want {
						t.Fatalf("%v %v: %#x op %#x = %#x, want %#x", op, typ, x, y, got, want)
					}
				}
			}
		})
	})
}

func TestFinish(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rng := newRand(3)
		supported(func(op Op, typ Type) {
			for n := range 131 {
				count := []int{1, 2, 3, 7, 512, 1<<24 + 1}[n%6]
				g := newGuarded(n*typ.Size(), typ.Size())
				fill(typ, rng, g.data)
				before := slices.Clone(g.data)
				op.Finish(typ, g.data, count)
				g.check(t)
				for i := range n {
					want := get(typ, before, i)
					if op == Avg {
						want = referenceQuotient(typ, want, count)
					}
					if got := get(typ, g.data, i); got != want {
						t.Fatalf("%v %v: %#x finished for %d = %#x, want %#x",
							op, typ, get(typ, before, i), count, got, want)
					}
				}
			}
		})
	})
}

func TestReduceLaws(t *testing.T) {
	eachPath(t, func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			typ := rapid.SampledFrom(Types()).Draw(t, "type")
			op := rapid.SampledFrom(Ops()[:4]).Draw(t, "op")
			n := rapid.IntRange(0, 200).Draw(t, "n")
			rng := newRand(rapid.Uint64().Draw(t, "seed"))
			a, b, c := filled(typ, rng, n), filled(typ, rng, n), filled(typ, rng, n)
			reduce := func(x, y []byte) []byte {
				dst := AllocBytes(len(x))
				op.Reduce(typ, dst, x, y)
				return dst
			}
			if !bytes.Equal(reduce(a, b), reduce(b, a)) {
				t.Fatalf("%v %v is not commutative", op, typ)
			}
			if typ.float() && (op == Sum || op == Prod) {
				return // rounds: not associative
			}
			if !bytes.Equal(reduce(reduce(a, b), c), reduce(a, reduce(b, c))) {
				t.Fatalf("%v %v is not associative", op, typ)
			}
		})
	})
}

func TestReduceAllocatesNothing(t *testing.T) {
	last := Func("last", func(dst, _, b []float32) { copy(dst, b) })
	a, b := AllocBytes(1024), AllocBytes(1024)
	eachPath(t, func(t *testing.T) {
		supported(func(op Op, typ Type) {
			if n := testing.AllocsPerRun(10, func() {
				op.Reduce(typ, a, a, b)
				op.Finish(typ, a, 3)
			}); n != 0 {
				t.Errorf("%v %v: %v allocations", op, typ, n)
			}
		})
		if n := testing.AllocsPerRun(10, func() { last.Reduce(F32, a, a, b) }); n != 0 {
			t.Errorf("user's function: %v allocations", n)
		}
	})
}

func TestReducePanicsOnMisuse(t *testing.T) {
	b := AllocBytes(256)
	for name, f := range map[string]func(){
		"zero op":          func() { Op{}.Reduce(F32, b, b, b) },
		"invalid type":     func() { Sum.Reduce(0, b, b, b) },
		"unknown type":     func() { Sum.Reduce(200, b, b, b) },
		"avg of integers":  func() { Avg.Reduce(I32, b, b, b) },
		"function's type":  func() { Func("f", func(_, _, _ []int8) {}).Reduce(U8, b, b, b) },
		"nil function":     func() { Func[int8]("f", nil).Reduce(I8, b, b, b) },
		"length of a":      func() { Sum.Reduce(F32, b[:8], b[64:68], b[128:136]) },
		"length of b":      func() { Sum.Reduce(F32, b[:8], b[64:72], b[128:140]) },
		"broken element":   func() { Sum.Reduce(F32, b[:6], b[64:70], b[128:134]) },
		"alignment of dst": func() { Sum.Reduce(F32, b[1:9], b[64:72], b[128:136]) },
		"alignment of a":   func() { Sum.Reduce(F16, b[:8], b[65:73], b[128:136]) },
		"alignment of b":   func() { Sum.Reduce(F64, b[:8], b[64:72], b[132:140]) },
		"dst in a":         func() { Sum.Reduce(U8, b[1:9], b[:8], b[64:72]) },
		"dst before a":     func() { Sum.Reduce(U8, b[:8], b[7:15], b[64:72]) },
		"dst in b":         func() { Sum.Reduce(U8, b[1:9], b[1:9], b[:8]) },
		"finish by 0":      func() { Sum.Finish(U8, b, 0) },
		"finish integers":  func() { Avg.Finish(U8, b, 1) },
		"finish alignment": func() { Avg.Finish(F32, b[2:6], 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, ok := recover().(string); !ok || len(text) < 20 {
					t.Errorf("panicked with %q, want a sentence", text)
				}
			}()
			f()
		})
	}
}

// TestReduceAllowsWhatItPromises: operands may overlap each other; dst may touch both; nothing may
// be anywhere.
func TestReduceAllowsWhatItPromises(t *testing.T) {
	b := []uint8{1, 2, 3, 4, 5, 6, 7, 8}
	Sum.Reduce(U8, b[3:6], b[:3], b[:3])
	Sum.Reduce(U8, b[:2], b[2:4], b[3:5])
	if want := []uint8{5, 6, 3, 2, 4, 6, 7, 8}; !slices.Equal(b, want) {
		t.Errorf("got %v, want %v", b, want)
	}
	Sum.Reduce(F64, b[1:1], b[2:2], nil)
	Sum.Reduce(F64, nil, nil, nil)
	Avg.Finish(F64, b[1:1], 2)
}

func FuzzReduce(f *testing.F) {
	f.Add(uint8(1), uint8(0), uint8(3), []byte("some bytes for the two operands, cut in the middle"))
	f.Add(uint8(2), uint8(4), uint8(0), bytes.Repeat([]byte{0, 0x7c, 0xff, 0xff, 0x80, 0x7f}, 40))
	f.Fuzz(func(t *testing.T, typeIndex, opIndex, offset uint8, data []byte) {
		typ := Types()[int(typeIndex)%len(Types())]
		op := Ops()[int(opIndex)%len(Ops())]
		if op.Supports(typ) != nil {
			t.Skip(fmt.Sprint(op, typ))
		}
		n := len(data) / (2 * typ.Size()) * typ.Size()
		a, b := AllocBytes(n), AllocBytes(n)
		copy(a, data)
		copy(b, data[n:])
		forms(t, op, typ, a, b, loopReduce(op, typ, a, b), int(offset)%8*typ.Size())
		count := int(offset) + 1
		want := loopFinish(op, typ, a, count)
		op.Finish(typ, a, count)
		if !bytes.Equal(a, want) {
			t.Fatalf("%v %v finished for %d: element %d differs",
				op, typ, count, firstDifference(typ, a, want))
		}
	})
}
