package tensor

import "testing"

func TestSmoke(t *testing.T) {
	a := []float32{1, 2, 3}
	Sum.Reduce(F32, Bytes(a), Bytes(a), Bytes([]float32{4, 5, 6}))
	Avg.Finish(F32, Bytes(a), 2)
	if a[0] != 2.5 || a[2] != 4.5 {
		t.Fatal(a)
	}
	for i := range 65536 {
		h := Float16(i)
		if g := ToFloat16(h.Float32()); g != h && h&0x7fff <= 0x7c00 {
			t.Fatalf("%x %x", h, g)
		}
		e := BFloat16(i)
		if g := ToBFloat16(e.Float32()); g != e && e&0x7fff <= 0x7f80 {
			t.Fatalf("%x %x", e, g)
		}
	}
	f := Func("f", func(dst, a, b []Float16) { copy(dst, b) })
	h := Alloc[Float16](5)
	f.Reduce(F16, Bytes(h), Bytes(h), Bytes([]Float16{1, 2, 3, 4, 5}))
	if h[4] != 5 {
		t.Fatal(h)
	}
}
