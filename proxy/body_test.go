package proxy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type (
	params  []float32
	weight  float64
	payload []byte
	topic   string
)

// marshals is a slice of numbers that has its own idea of how it travels.
type marshals []int32

func (m marshals) MarshalBinary() ([]byte, error) { return []byte{byte(len(m))}, nil }

func (m *marshals) UnmarshalBinary(b []byte) error {
	*m = make(marshals, b[0])
	return nil
}

// The layout is for ever: peers read each other's bytes.
func TestBodyGolden(t *testing.T) {
	for _, c := range []struct {
		give any
		kind bodyKind
		name string
		hex  string
		back any
	}{
		{nil, 0, "empty", "", nil},
		{[]byte{1, 2}, 1, "bytes", "0102", []byte{1, 2}},
		{[]byte{}, 1, "bytes", "", []byte{}},
		{"grüß", 2, "text", "6772c3bcc39f", "grüß"},
		{"", 2, "text", "", ""},
		{"\xff", 2, "text", "ff", "\xff"},
		{map[string]int{"b": 2, "a": -1}, 3, "CBOR", "a2616120616202", Encoded("\xa2aa\x20ab\x02")},
		{3, 3, "CBOR", "03", Encoded{3}},
		{Encoded{0xf6}, 3, "CBOR", "f6", Encoded{0xf6}},
		{[]string{"a"}, 3, "CBOR", "816161", Encoded{0x81, 0x61, 'a'}},
		{[]float64{1, -2}, 8, "f64", "000000000000f03f00000000000000c0", []float64{1, -2}},
		{[]float32{1, -2}, 9, "f32", "0000803f000000c0", []float32{1, -2}},
		{[]int8{1, -2}, 10, "i8", "01fe", []int8{1, -2}},
		{[]int16{1, -2}, 11, "i16", "0100feff", []int16{1, -2}},
		{[]uint16{1, 0xfeff}, 12, "u16", "0100fffe", []uint16{1, 0xfeff}},
		{[]int32{1, -2}, 13, "i32", "01000000feffffff", []int32{1, -2}},
		{[]uint32{1, 0xabcdef01}, 14, "u32", "0100000001efcdab", []uint32{1, 0xabcdef01}},
		{[]int64{-2}, 15, "i64", "feffffffffffffff", []int64{-2}},
		{[]uint64{0x0102030405060708}, 16, "u64", "0807060504030201", []uint64{0x0102030405060708}},
		{[]float32{}, 9, "f32", "", []float32{}},
		{[]uint64(nil), 16, "u64", "", []uint64{}},
		{params{1}, 9, "f32", "0000803f", []float32{1}},
		{[]weight{1}, 8, "f64", "000000000000f03f", []float64{1}},
		{[]time.Duration{1}, 15, "i64", "0100000000000000", []int64{1}},
		{payload{7}, 1, "bytes", "07", []byte{7}},
		{topic("t"), 2, "text", "74", "t"},
		{marshals{1, 2}, 3, "CBOR", "4102", Encoded{0x41, 2}},
	} {
		if c.kind.String() != c.name {
			t.Errorf("kind %d is %q, want %q", uint8(c.kind), c.kind, c.name)
		}
		// The wire does not depend on the machine: here it is as if it had the other byte order.
		for _, bigEndian := range []bool{false, true} {
			give := c.give
			if bigEndian {
				give = otherOrder(give)
			}
			got, err := encodeBodyOn(bigEndian, give)
			if err != nil || got.kind != c.kind || hex.EncodeToString(got.data) != c.hex {
				t.Errorf("big endian %v: %#v is %v %x, %v; want %v %s",
					bigEndian, c.give, got.kind, got.data, err, c.kind, c.hex)
				continue
			}
			back, err := decodeBodyOn(bigEndian, got.kind, bytes.Clone(got.data))
			if bigEndian {
				back = otherOrder(back)
			}
			if err != nil || !reflect.DeepEqual(orEmpty(back), orEmpty(c.back)) {
				t.Errorf("big endian %v: %#v came back as %#v, %v", bigEndian, c.give, back, err)
			}
		}
	}
	if s := bodyKind(4).String(); s != "kind(4)" {
		t.Errorf("an unknown kind is %q", s)
	}
}

// orEmpty makes no difference between a nil and an empty []byte.
func orEmpty(v any) any {
	if b, ok := v.([]byte); ok && len(b) == 0 {
		return []byte{}
	}
	return v
}

// otherOrder returns a slice of numbers with the bytes of every element turned round, which is
// what this machine sees of the memory of one with the other order.
func otherOrder(v any) any {
	rv := reflect.ValueOf(v)
	if !rv.IsValid() || rv.Kind() != reflect.Slice || rv.Len() == 0 {
		return v
	}
	if _, ok := numberKinds[rv.Type().Elem().Kind()]; !ok || marshalsItself(rv.Type()) {
		return v
	}
	turned := reflect.MakeSlice(rv.Type(), rv.Len(), rv.Len())
	reflect.Copy(turned, rv)
	size := int(rv.Type().Elem().Size())
	memory := unsafe.Slice((*byte)(turned.UnsafePointer()), rv.Len()*size)
	for i := 0; i < len(memory); i += size {
		for a, b := i, i+size-1; a < b; a, b = a+1, b-1 {
			memory[a], memory[b] = memory[b], memory[a]
		}
	}
	return turned.Interface()
}

func TestHostOrder(t *testing.T) {
	if binary.NativeEndian.String() == "" || hostBigEndian == (numberBytes([]uint16{1})[0] == 1) {
		t.Errorf("big endian %v, but 1 is % x", hostBigEndian, numberBytes([]uint16{1}))
	}
}

func checkNumbers[T number](t *testing.T, kind bodyKind, element *rapid.Generator[T]) {
	t.Run(kind.String(), rapid.MakeCheck(func(t *rapid.T) {
		v := rapid.SliceOfN(element, 0, 300).Draw(t, "numbers")
		size := int(unsafe.Sizeof(*new(T)))
		body, err := encodeBody(v)
		if err != nil || body.kind != kind || len(body.data) != size*len(v) {
			t.Fatalf("encoded as %v, %d bytes, %v", body.kind, len(body.data), err)
		}
		// At any offset of the receive buffer, aligned or not; equal to the bit, NaNs included.
		offset := rapid.IntRange(0, 8).Draw(t, "offset")
		buffer := make([]uint64, 2+(size*len(v)+7)/8)
		at := numberBytes(buffer)[offset:][:len(body.data)]
		copy(at, body.data)
		back, err := decodeBody(kind, at)
		if err != nil {
			t.Fatal(err)
		}
		numbers, ok := back.([]T)
		if !ok || !bytes.Equal(numberBytes(numbers), numberBytes(v)) {
			t.Fatalf("%v came back as %v", v, back)
		}
		if len(v) == 0 {
			return
		}
		aligned := offset%size == 0
		if view := &numberBytes(numbers)[0] == &at[0]; view != aligned && !hostBigEndian {
			t.Fatalf("offset %d: a view %v", offset, view)
		}
		if cap(numbers) != len(numbers) {
			t.Fatal("append would write into the buffer")
		}
	}))
}

func TestNumbersRoundTrip(t *testing.T) {
	checkNumbers(t, kindF64, rapid.Map(rapid.Uint64(), math.Float64frombits))
	checkNumbers(t, kindF32, rapid.Map(rapid.Uint32(), math.Float32frombits))
	checkNumbers(t, kindI8, rapid.Int8())
	checkNumbers(t, kindI16, rapid.Int16())
	checkNumbers(t, kindU16, rapid.Uint16())
	checkNumbers(t, kindI32, rapid.Int32())
	checkNumbers(t, kindU32, rapid.Uint32())
	checkNumbers(t, kindI64, rapid.Int64())
	checkNumbers(t, kindU64, rapid.Uint64())
	checkNumbers(t, kindBytes, rapid.Byte())
}

// What is sent is the caller's memory, and what is received the buffer's.
func TestBodiesAreNotCopied(t *testing.T) {
	if hostBigEndian {
		t.Skip("on a big-endian machine they are")
	}
	v := make([]float32, 1<<20)
	for _, give := range []any{v, params(v), numberBytes(v), payload(numberBytes(v))} {
		body, err := encodeBody(give)
		if err != nil || &body.data[0] != &numberBytes(v)[0] || len(body.data) != 4<<20 {
			t.Errorf("%T: copied, %v", give, err)
		}
	}
	s := strings.Repeat("x", 100)
	body, err := encodeBody(s)
	if err != nil || unsafe.StringData(s) != &body.data[0] {
		t.Errorf("the string is copied, %v", err)
	}
	back, err := decodeBody(kindF32, numberBytes(v))
	if err != nil || &back.([]float32)[0] != &v[0] {
		t.Errorf("received with a copy, %v", err)
	}
	as, err := DecodeBody[params](back)
	if err != nil || &as[0] != &v[0] || len(as) != len(v) {
		t.Errorf("taken with a copy, %v", err)
	}
	give := any(v)
	if n := testing.AllocsPerRun(100, func() {
		body, err := encodeBody(give)
		if err != nil {
			t.Fatal(err)
		}
		if back, err = decodeBody(body.kind, body.data); err != nil {
			t.Fatal(err)
		}
		if v, err = DecodeBody[[]float32](back); err != nil {
			t.Fatal(err)
		}
	}); n > 1 { // the slice's header in the interface
		t.Errorf("%v allocations", n)
	}
}

func TestDecodeBodyRefuses(t *testing.T) {
	for _, c := range []struct {
		kind bodyKind
		n    int
	}{
		{kindEmpty, 1},
		{kindF64, 7},
		{kindF64, 12},
		{kindF32, 6},
		{kindI16, 1},
		{kindU16, 3},
		{kindI32, 5},
		{kindU32, 2},
		{kindI64, 4},
		{kindU64, 9},
		{4, 8},
		{7, 0},
		{17, 8},
		{255, 8},
	} {
		v, err := decodeBody(c.kind, make([]byte, c.n))
		var e *BodyError
		if !errors.As(err, &e) || e.Op != "decode" || e.Kind != c.kind.String() || e.Remedy == "" {
			t.Errorf("%v of %d bytes: %v, %v", c.kind, c.n, v, err)
		}
	}
}

func checkDecode[T any](t *testing.T, give any, want T, fails bool) {
	t.Helper()
	body, err := encodeBody(give)
	if err != nil {
		t.Fatal(err)
	}
	received, err := decodeBody(body.kind, bytes.Clone(body.data))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeBody[T](received)
	var e *BodyError
	if fails != (err != nil) || fails && (!errors.As(err, &e) || e.Op != "decode" ||
		e.Type != reflect.TypeFor[T]().String() || e.Remedy == "") {
		t.Errorf("%#v as %T: %v", give, want, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%#v as %T (-want +got):\n%s", give, want, diff)
	}
}

type step struct {
	Agent  string
	Reward float64
	State  []float32
}

func TestDecodeBodyInto(t *testing.T) {
	checkDecode(t, []float32{1}, []float32{1}, false)
	checkDecode(t, []float32{1}, params{1}, false)
	checkDecode(t, params{1}, params{1}, false)
	checkDecode(t, params{}, params{}, false)
	checkDecode(t, []int64{5}, []time.Duration{5}, false)
	checkDecode(t, []byte("x"), payload("x"), false)
	checkDecode(t, "a", topic("a"), false)
	checkDecode(t, "a", any("a"), false)
	checkDecode(t, []int8{1}, any([]int8{1}), false)
	checkDecode(t, marshals{0, 0}, marshals{0, 0}, false)
	checkDecode(t, 7, 7, false)
	checkDecode(t, 7, any(int64(7)), false)
	checkDecode(t, 7, Encoded{7}, false)
	checkDecode(t, []int{1, 2}, []int{1, 2}, false)
	checkDecode(t, step{"a", 1, []float32{2}}, step{"a", 1, []float32{2}}, false)
	checkDecode(t, &step{Agent: "a"}, &step{Agent: "a"}, false)
	checkDecode(t, (*step)(nil), (*step)(nil), false)
	checkDecode(t, nil, any(nil), false)
	checkDecode(t, nil, []float32(nil), false)
	checkDecode(t, nil, (*step)(nil), false)
	checkDecode(t, nil, map[string]int(nil), false)

	checkDecode(t, nil, step{}, true)
	checkDecode(t, nil, "", true)
	checkDecode(t, "a", []byte(nil), true)
	checkDecode(t, []byte("a"), "", true)
	checkDecode(t, []float32{1}, []float64(nil), true)
	checkDecode(t, []int32{1}, []uint32(nil), true)
	checkDecode(t, []float32{1}, [1]float32{}, true)
	checkDecode(t, []byte{1}, [1]byte{}, true)
	checkDecode(t, []float32{1}, step{}, true)
	checkDecode(t, "7", 0, true)
	checkDecode(t, 300, uint8(0), true)
	checkDecode(t, step{Agent: "a"}, 0, true)

	// What no peer sends is refused, too.
	if _, err := DecodeBody[[]bool]([]float32{1}); err == nil {
		t.Error("a []float32 is a []bool")
	}
	type flags []bool
	if _, err := DecodeBody[flags]([]bool{true}); err == nil {
		t.Error("a []bool is flags")
	}
}

func TestBodyError(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  *BodyError
		want string
	}{
		{
			&BodyError{Op: "encode", Kind: "CBOR", Type: "chan int", Err: cause, Remedy: "do not"},
			"proxy: encode CBOR body of chan int: cause; do not",
		},
		{
			&BodyError{Op: "decode", Kind: "f32", Type: "[]int", Err: cause},
			"proxy: decode f32 body into []int: cause",
		},
		{&BodyError{Op: "decompress", Err: cause}, "proxy: decompress body: cause"},
	} {
		if got := c.err.Error(); got != c.want || !errors.Is(c.err, cause) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// allocated returns the bytes that f allocates; those of small objects only roughly.
func allocated(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return sample[0].Value.Uint64() - before
}

// FuzzDecodeBody decodes anything: numbers come back to the same bytes, and CBOR allocates in
// proportion to its length.
func FuzzDecodeBody(f *testing.F) {
	f.Add(uint8(kindF32), []byte{0, 0, 128, 63})
	f.Add(uint8(kindText), []byte("text"))
	for _, s := range hostileCBOR {
		data, err := hex.DecodeString(s.hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(kindCBOR), data)
	}
	for _, v := range []any{
		map[string]any{"a": []any{1, -2.5, nil, true, "b", []byte{1}}},
		step{"a", 1, []float32{1}},
		time.Unix(1, 2),
		[]string{"a", "b"},
		uint64(math.MaxUint64), 1e300,
	} {
		body, err := encodeBody(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(body.kind), body.data)
	}
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		before := bytes.Clone(data)
		v, err := decodeBody(bodyKind(kind), data)
		if err != nil {
			return
		}
		again, err := encodeBody(v)
		encoded, isEncoded := v.(Encoded)
		if !isEncoded && (err != nil || !bytes.Equal(again.data, before)) {
			t.Fatalf("%v came back as %v, %v", before, again.data, err)
		}
		if isEncoded {
			decodeHostile(t, encoded)
		}
		if !bytes.Equal(data, before) {
			t.Fatal("decoding wrote")
		}
	})
}

func decodeHostile(t *testing.T, encoded Encoded) {
	var generic any
	for _, into := range []any{&generic, new(step), new(map[string]params), new([]step)} {
		var err error
		n := allocated(func() { err = encoded.Decode(into) })
		if most := uint64(len(encoded))*maxGrowth + 1<<20; n > most {
			t.Fatalf("%d bytes allocate %d, into %T, %v", len(encoded), n, into, err)
		}
		var e *BodyError
		if err != nil && !errors.As(err, &e) {
			t.Fatalf("%T %v", err, err)
		}
		if err != nil || into != any(&generic) {
			continue
		}
		// What was accepted can be sent on, if it is data; and then it is accepted again.
		body, err := encodeBody(generic)
		if err != nil || body.kind != kindCBOR {
			continue
		}
		if _, err := DecodeBody[any](Encoded(body.data)); err != nil {
			t.Fatalf("%x was accepted, sent on as %x: %v", []byte(encoded), body.data, err)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	v := make([]float32, 1<<18)
	give := any(v)
	b.Run("f32/1MiB", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(1 << 20)
		for b.Loop() {
			body, err := encodeBody(give)
			if err != nil {
				b.Fatal(err)
			}
			back, err := decodeBody(body.kind, body.data)
			if err != nil {
				b.Fatal(err)
			}
			if v, err = DecodeBody[[]float32](back); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, give := range []any{
		params(v), &step{"agent", 1, v[:16]}, map[string]any{"agent": "a", "reward": 0.1, "n": 3},
	} {
		b.Run(strings.ReplaceAll(fmt.Sprintf("%T", give), " ", ""), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := encodeBody(give); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
