package main

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/tensor"
)

// TestEveryOrderIsExact combines ranks' numbers in the element type itself, in a random order and
// in random groups, and expects the bits that values predicts from whole numbers alone.
func TestEveryOrderIsExact(t *testing.T) {
	for _, typ := range tensor.Types() {
		for _, op := range tensor.Ops() {
			if op.Supports(typ) != nil {
				continue
			}
			t.Run(typ.String()+"/"+op.String(), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) { combineInAnyOrder(t, typ, op) })
			})
		}
	}
}

func combineInAnyOrder(t *rapid.T, typ tensor.Type, op tensor.Op) {
	switch typ {
	case tensor.F64:
		anyOrder[float64](t, typ, op)
	case tensor.F32:
		anyOrder[float32](t, typ, op)
	case tensor.F16:
		anyOrder[tensor.Float16](t, typ, op)
	case tensor.BF16:
		anyOrder[tensor.BFloat16](t, typ, op)
	case tensor.I8:
		anyOrder[int8](t, typ, op)
	case tensor.U8:
		anyOrder[uint8](t, typ, op)
	case tensor.I32:
		anyOrder[int32](t, typ, op)
	case tensor.I64:
		anyOrder[int64](t, typ, op)
	case tensor.U64:
		anyOrder[uint64](t, typ, op)
	}
}

func anyOrder[T tensor.Element](t *rapid.T, typ tensor.Type, op tensor.Op) {
	ranks := rapid.OneOf(rapid.IntRange(1, 9), rapid.IntRange(1, 600)).Draw(t, "ranks")
	index := rapid.IntRange(0, 1<<40).Draw(t, "index")
	v := newValues(typ, op, ranks, rapid.Uint64().Draw(t, "seed"))
	left := make([][]T, ranks)
	for r := range left {
		left[r] = []T{element[T](v.at(r, index))}
	}
	// Each step combines two that are next to each other after a rotation: any tree comes up.
	pick := rapid.Uint64().Draw(t, "order")
	for len(left) > 1 {
		pick = mix(pick + 1)
		i := int(pick % uint64(len(left)))
		j := (i + 1 + int(pick>>32)%(len(left)-1)) % len(left)
		op.Reduce(typ, tensor.Bytes(left[i]), tensor.Bytes(left[i]), tensor.Bytes(left[j]))
		left[j] = left[len(left)-1]
		left = left[:len(left)-1]
	}
	op.Finish(typ, tensor.Bytes(left[0]), ranks)
	if want := element[T](v.combined(index)); left[0][0] != want {
		t.Fatalf("%d ranks, index %d: %v, want %v", ranks, index, left[0][0], want)
	}
}

// TestValuesDiffer: neighbours in rank and index, and the same place in another call, differ often
// enough that a short vector tells them apart.
func TestValuesDiffer(t *testing.T) {
	const n, ranks = 256, 4
	ops := append(tensor.Ops(), tensor.Op{})
	for _, typ := range tensor.Types() {
		for _, op := range ops {
			if op != (tensor.Op{}) && op.Supports(typ) != nil {
				continue
			}
			v, later := newValues(typ, op, ranks, 1), newValues(typ, op, ranks, 2)
			same := [3]int{}
			for i := range n {
				x := v.at(1, i)
				for k, y := range []int64{v.at(2, i), v.at(1, i+1), later.at(1, i)} {
					if x == y {
						same[k]++
					}
				}
			}
			for k, what := range []string{"rank", "index", "call"} {
				if same[k] > n/2 {
					t.Errorf("%v %v: %d of %d values are those of the next %s", typ, op, same[k], n, what)
				}
			}
		}
	}
}

// TestElementIsExact: no number is rounded on its way into the element type.
func TestElementIsExact(t *testing.T) {
	exact := func(got float64, want int64) {
		t.Helper()
		if got != float64(want) {
			t.Errorf("%d became %v", want, got)
		}
	}
	for _, x := range []int64{0, 1, -1, 255, -256, 256} {
		exact(element[float64](x), x)
		exact(float64(element[float32](x)), x)
		exact(float64(element[tensor.Float16](x).Float32()), x)
		exact(float64(element[tensor.BFloat16](x).Float32()), x)
	}
	exact(float64(element[tensor.Float16](-2048).Float32()), -2048)
	exact(float64(element[float32](1<<24)), 1<<24)
	if element[uint8](-1) != math.MaxUint8 || element[int8](128) != math.MinInt8 ||
		element[int32](math.MinInt32) != math.MinInt32 || element[uint64](1<<62) != 1<<62 {
		t.Error("an integer was not cut to its size")
	}
}

func TestElementAllocatesNothing(t *testing.T) {
	buf := make([]tensor.BFloat16, 64)
	v := newValues(tensor.BF16, tensor.Avg, 4, 1)
	if n := testing.AllocsPerRun(10, func() {
		for i := range buf {
			buf[i] = element[tensor.BFloat16](v.at(2, i))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
