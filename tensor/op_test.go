package tensor

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTypes(t *testing.T) {
	for i, typ := range Types() {
		if int(typ) != i+1 || !typ.Valid() {
			t.Errorf("%v has number %d, valid %t; want %d", typ, uint8(typ), typ.Valid(), i+1)
		}
		if got, err := ParseType(typ.String()); got != typ || err != nil {
			t.Errorf("ParseType(%q) = %v, %v", typ, got, err)
		}
	}
	for _, typ := range []Type{0, typeCount, 255} {
		if typ.Valid() || typ.Size() != 0 || !strings.HasPrefix(typ.String(), "Type(") {
			t.Errorf("Type %d: valid %t, size %d, string %q", uint8(typ), typ.Valid(), typ.Size(), typ)
		}
	}
}

func TestParseType(t *testing.T) {
	for name, want := range map[string]Type{
		"float": F32, "double": F64, "half": F16, "bfloat16": BF16,
		"int8": I8, "uint8": U8, "int32": I32, "int64": I64, "uint64": U64,
	} {
		if got, err := ParseType(name); got != want || err != nil {
			t.Errorf("ParseType(%q) = %v, %v; want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "F32", "f8", "uint32"} {
		_, err := ParseType(name)
		var unknown *NameError
		if !errors.As(err, &unknown) || unknown.Name != name ||
			!strings.Contains(err.Error(), "bf16, i8") {
			t.Errorf("ParseType(%q): %v", name, err)
		}
	}
}

func checkTypeOf[T Element](t *testing.T, want Type, size int) {
	t.Helper()
	if got := TypeOf[T](); got != want || got.Size() != size || len(Bytes(make([]T, 3))) != 3*size {
		t.Errorf("TypeOf = %v of %d bytes, want %v of %d", got, got.Size(), want, size)
	}
	var got Type
	if n := testing.AllocsPerRun(10, func() { got = TypeOf[T]() }); n != 0 || got != want {
		t.Errorf("TypeOf of %v: %v allocations, result %v", want, n, got)
	}
}

func TestTypeOf(t *testing.T) {
	checkTypeOf[float64](t, F64, 8)
	checkTypeOf[float32](t, F32, 4)
	checkTypeOf[Float16](t, F16, 2)
	checkTypeOf[BFloat16](t, BF16, 2)
	checkTypeOf[int8](t, I8, 1)
	checkTypeOf[uint8](t, U8, 1)
	checkTypeOf[int32](t, I32, 4)
	checkTypeOf[int64](t, I64, 8)
	checkTypeOf[uint64](t, U64, 8)
}

func TestOps(t *testing.T) {
	for i, op := range Ops() {
		if int(op.Code()) != i+1 || op.ID() != 0 {
			t.Errorf("%v: code %d, id %d; want %d, 0", op, op.Code(), op.ID(), i+1)
		}
		if got, err := ParseOp(op.String()); got != op || err != nil {
			t.Errorf("ParseOp(%q) = %v, %v", op, got, err)
		}
	}
	for _, name := range []string{"", "SUM", "invalid"} {
		got, err := ParseOp(name)
		var unknown *NameError
		if !errors.As(err, &unknown) || got != (Op{}) ||
			!strings.Contains(err.Error(), "sum, prod, min, max, avg") {
			t.Errorf("ParseOp(%q) = %v, %v", name, got, err)
		}
	}
}

func TestFunc(t *testing.T) {
	nothing := func(_, _, _ []float32) {}
	a, again, other := Func("a", nothing), Func("a", nothing), Func("foobar", nothing)
	// The published test vectors of 32-bit FNV-1a.
	if a.Code() != 255 || a.ID() != 0xE40C292C || other.ID() != 0xBF9CF968 {
		t.Errorf("code %d, ids %#x and %#x", a.Code(), a.ID(), other.ID())
	}
	if a.ID() != again.ID() || a == again || a.String() != "a" {
		t.Errorf("two functions of one name: ids %#x and %#x, equal %t, name %q",
			a.ID(), again.ID(), a == again, a)
	}
	var calls [][3][]int64
	record := Func("record", func(dst, a, b []int64) { calls = append(calls, [3][]int64{dst, a, b}) })
	x, y := []int64{1, 2}, []int64{3, 4}
	record.Reduce(I64, Bytes(x), Bytes(x), Bytes(y))
	record.Reduce(I64, nil, nil, nil)
	record.Finish(I64, Bytes(x), 2)
	if diff := cmp.Diff([][3][]int64{{x, x, y}}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestSupports(t *testing.T) {
	f := Func("f", func(_, _, _ []Float16) {})
	for _, typ := range Types() {
		for _, op := range []Op{Sum, Prod, Min, Max} {
			if err := op.Supports(typ); err != nil {
				t.Error(err)
			}
		}
		refusals := map[string]error{
			"zero value":          Op{}.Supports(typ),
			"no name":             Func("", func(_, _, _ []int8) {}).Supports(typ),
			"no function":         Func[int8]("f", nil).Supports(typ),
			"sum and divide":      Avg.Supports(typ),
			"defined for f16 onl": f.Supports(typ),
		}
		if typ == F16 {
			delete(refusals, "defined for f16 onl")
			if err := f.Supports(typ); err != nil {
				t.Error(err)
			}
		}
		if typ.float() {
			delete(refusals, "sum and divide")
			if err := Avg.Supports(typ); err != nil {
				t.Error(err)
			}
		}
		for text, err := range refusals {
			var u *UnsupportedError
			if !errors.As(err, &u) || u.Type != typ || u.Remedy == "" {
				t.Fatalf("want a refusal with %q, got %v", text, err)
			}
			for _, part := range []string{text, typ.String(), u.Op.String(), u.Remedy} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q lacks %q", err, part)
				}
			}
		}
	}
	for _, op := range append(Ops(), f, Op{}) {
		if err := op.Supports(77); err == nil || !strings.Contains(err.Error(), "Type(77)") {
			t.Errorf("%v of an invalid type: %v", op, err)
		}
	}
}
