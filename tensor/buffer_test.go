package tensor

import (
	"math"
	"strings"
	"testing"
	"unsafe"
)

func checkBuffers[T Element](t *testing.T) {
	t.Helper()
	typ := TypeOf[T]()
	for _, n := range []int{0, 1, 7, 64, 1000, 70000} {
		s := Alloc[T](n)
		start := uintptr(unsafe.Pointer(unsafe.SliceData(s)))
		if len(s) != n || cap(s) != n || s == nil || start%64 != 0 {
			t.Fatalf("Alloc[%v](%d): length %d, capacity %d at %p", typ, n, len(s), cap(s), s)
		}
		var zero T
		for i := range s {
			if s[i] != zero {
				t.Fatalf("Alloc[%v](%d)[%d] = %v", typ, n, i, s[i])
			}
		}
		b := Bytes(s)
		v := View[T](b)
		if len(b) != n*typ.Size() || len(v) != n || unsafe.SliceData(v) != unsafe.SliceData(s) ||
			cap(b) != len(b) || cap(v) != len(v) {
			t.Fatalf("%v: %d elements, %d bytes, %d elements again", typ, n, len(b), len(v))
		}
	}
	if Bytes[T](nil) != nil || View[T](nil) != nil {
		t.Errorf("%v: nil does not stay nil", typ)
	}
	s := make([]T, 8, 16)
	if n := testing.AllocsPerRun(10, func() { s = View[T](Bytes(s)) }); n != 0 {
		t.Errorf("%v: views allocate %v times", typ, n)
	}
}

func TestBuffers(t *testing.T) {
	checkBuffers[float64](t)
	checkBuffers[float32](t)
	checkBuffers[Float16](t)
	checkBuffers[BFloat16](t)
	checkBuffers[int8](t)
	checkBuffers[uint8](t)
	checkBuffers[int32](t)
	checkBuffers[int64](t)
	checkBuffers[uint64](t)
}

func TestBytesSharesMemory(t *testing.T) {
	s := []int32{0, 0}
	b := Bytes(s)
	put(I32, b, 1, 0x01020304)
	if s[1] != 0x01020304 {
		t.Errorf("s[1] = %#x", s[1])
	}
}

func TestBufferMisusePanics(t *testing.T) {
	b := AllocBytes(64)
	for name, f := range map[string]func(){
		"View[f32] of 4 bytes at": func() { View[float32](b[2:6]) },
		"View[f64] of 7 bytes at": func() { View[float64](b[:7]) },
		"Alloc[f32](-1)":          func() { Alloc[float32](-1) },
		"Alloc[i64](":             func() { Alloc[int64](math.MaxInt/8 + 1) },
		"AllocBytes(-1)":          func() { AllocBytes(-1) },
		"AllocBytes(9":            func() { AllocBytes(math.MaxInt) },
		"Partition(-1, 2)":        func() { Partition(-1, 2) },
		"Partition(1, 0)":         func() { Partition(1, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.Contains(text, name) {
					t.Errorf("panicked with %q", text)
				}
			}()
			f()
		})
	}
	View[float64](b[3:3]) // nothing is aligned everywhere
}
