package tensor

import (
	"math"
	"testing"

	"github.com/x448/float16"
	"pgregory.net/rapid"
)

func TestFloat16EveryValue(t *testing.T) {
	for i := range 1 << 16 {
		h := Float16(i)
		got, want := h.Float32(), float16.Frombits(uint16(i)).Float32()
		if math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("Float16(%#04x).Float32() = %#08x, want %#08x",
				i, math.Float32bits(got), math.Float32bits(want))
		}
		if got == got {
			if v := formats[F16].value(uint64(i)); float64(got) != v {
				t.Fatalf("Float16(%#04x).Float32() = %v, want %v", i, got, v)
			}
		}
		back := h
		if got != got {
			back |= 0x200 // quiet
		}
		if r := ToFloat16(got); r != back {
			t.Fatalf("ToFloat16(%v) = %#04x, want %#04x", got, r, back)
		}
	}
}

func TestBFloat16EveryValue(t *testing.T) {
	for i := range 1 << 16 {
		h := BFloat16(i)
		got, v := h.Float32(), formats[BF16].value(uint64(i))
		if float64(got) != v && (got == got || v == v) {
			t.Fatalf("BFloat16(%#04x).Float32() = %v, want %v", i, got, v)
		}
		back := h
		if got != got {
			back |= 0x40 // quiet
		}
		if r := ToBFloat16(got); r != back {
			t.Fatalf("ToBFloat16(%v) = %#04x, want %#04x", got, r, back)
		}
	}
}

// TestToFloat16Boundaries tries, for every two neighbours, the float32 in the middle and those on
// either side of it: all that rounding depends on.
func TestToFloat16Boundaries(t *testing.T) {
	for i := range f16Inf {
		low, high := Float16(i), Float16(i+1)
		upper := float64(high.Float32())
		if high == f16Inf {
			upper = 65536
		}
		middle := float32((float64(low.Float32()) + upper) / 2)
		even := low
		if i&1 == 1 {
			even = high
		}
		for _, c := range []struct {
			f    float32
			want Float16
		}{
			{math.Nextafter32(middle, 0), low},
			{middle, even},
			{math.Nextafter32(middle, math.MaxFloat32), high},
		} {
			if got := ToFloat16(c.f); got != c.want {
				t.Fatalf("ToFloat16(%v) = %#04x, want %#04x", c.f, got, c.want)
			}
			if got := ToFloat16(-c.f); got != c.want|0x8000 {
				t.Fatalf("ToFloat16(%v) = %#04x, want %#04x", -c.f, got, c.want|0x8000)
			}
		}
	}
}

func TestToBFloat16Boundaries(t *testing.T) {
	for i := range bf16Inf {
		low, high := BFloat16(i), BFloat16(i+1)
		even := low
		if i&1 == 1 {
			even = high
		}
		middle := uint32(i)<<16 | 0x8000
		for _, c := range []struct {
			bits uint32
			want BFloat16
		}{{middle - 1, low}, {middle, even}, {middle + 1, high}} {
			if got := ToBFloat16(math.Float32frombits(c.bits)); got != c.want {
				t.Fatalf("ToBFloat16(%#08x) = %#04x, want %#04x", c.bits, got, c.want)
			}
			if got := ToBFloat16(math.Float32frombits(c.bits | f32Sign)); got != c.want|0x8000 {
				t.Fatalf("ToBFloat16(%#08x) = %#04x, want %#04x", c.bits|f32Sign, got, c.want|0x8000)
			}
		}
	}
}

func TestToFloat16LikeReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
		if got, want := ToFloat16(f), float16.Fromfloat32(f).Bits(); uint16(got) != want {
			t.Fatalf("ToFloat16(%#08x) = %#04x, want %#04x", math.Float32bits(f), got, want)
		}
	})
}

// TestNarrowNaN: the payload of a NaN may lie in bits that the narrow format lacks; cutting them
// must not make it infinite.
func TestNarrowNaN(t *testing.T) {
	for _, u := range []uint32{
		0x7F800001, 0xFF800001, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FC00000, 0x7F801000,
	} {
		f := math.Float32frombits(u)
		sign := uint16(u >> 16 & 0x8000)
		if h := ToFloat16(f); h.Float32() == h.Float32() || uint16(h)&0x8000 != sign {
			t.Errorf("ToFloat16(%#08x) = %#04x", u, h)
		}
		if h := ToBFloat16(f); h.Float32() == h.Float32() || uint16(h)&0x8000 != sign {
			t.Errorf("ToBFloat16(%#08x) = %#04x", u, h)
		}
	}
}
