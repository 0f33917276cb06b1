package proxy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// maxGrowth is how much memory a byte of CBOR may cost: two of them are a map of one pair.
const maxGrowth = 192

// hostileCBOR are items that are refused, and why.
var hostileCBOR = []struct{ why, hex string }{
	{"nothing", ""},
	{"two items", "0101"},
	{"an array of 2^63-1", "9b7fffffffffffffff"},
	{"an array of 2^64-1", "9bffffffffffffffff"},
	{"an array of 2^24", "9a01000000"},
	{"an array above the limit", "9a01000001"},
	{"a map of 2^20", "ba00100000"},
	{"a map of 2^62", "bb4000000000000000"},
	{"bytes of 2^40", "5b0000010000000000"},
	{"text of 2^63", "7b8000000000000000"},
	{"arrays of 2^20 within each other", strings.Repeat("9a00100000", 30)},
	{"33 arrays within each other", strings.Repeat("81", 33) + "00"},
	{"a million tags", strings.Repeat("c6", 1000000) + "00"},
	{"a million arrays", strings.Repeat("81", 1000000)},
	{"an array without end", "9f0102ff"},
	{"text without length", "7f6161ff"},
	{"a map without end", "bf016161ff"},
	{"a key twice", "a2616101616102"},
	{"a reserved length", "1c"},
	{"a lone break", "ff"},
	{"a time that is none", "c0616e"},
	{"a big number of text", "c26161"},
	{"a map as a key", "a1a001"},
}

func TestHostileCBOR(t *testing.T) {
	for _, c := range hostileCBOR {
		data, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		var generic any
		for _, into := range []any{&generic, new([]float64), new(map[string]any), new([][]int64)} {
			n := allocated(func() { err = Encoded(data).Decode(into) })
			var e *BodyError
			if !errors.As(err, &e) || e.Op != "decode" || e.Kind != "CBOR" || e.Remedy == "" {
				t.Errorf("%s into %T: %v, %v", c.why, into, generic, err)
			}
			if n > 1<<20 {
				t.Errorf("%s into %T: %d bytes for %d", c.why, into, n, len(data))
			}
		}
		if _, err := encodeBody(Encoded(data)); err == nil && codec.decoding.Wellformed(data) != nil {
			t.Errorf("%s can be sent on", c.why)
		}
	}
}

// The dearest bytes known: maps of one pair within each other, and what does not fit the target.
func TestCBORGrowthIsLinear(t *testing.T) {
	const elements = 1 << 13
	head := binary.BigEndian.AppendUint32([]byte{0x9a}, elements)
	nested := strings.Repeat("a100", maxNesting-1) + "00"
	for _, c := range []struct {
		element string
		into    any
		fails   bool
	}{
		{nested, new(any), false},
		{"a10080", new(any), false},
		{"a0", new(any), false},
		{"f6", new(any), false},
		{"40", new(any), false},
		{"80", new(any), false},
		{"c240", new(any), false},
		{"c600", new(any), false},
		{"1903e8", new(any), false},
		{"00", new([]float64), false},
		{"f6", new([]step), false},
		{"a16040", new([]map[string]string), true},
		{"60", new([]float64), true},
		{"80", new([]float64), true},
		{"a0", new([]string), true},
		{"20", new([]uint8), true},
	} {
		one, err := hex.DecodeString(c.element)
		if err != nil {
			t.Fatal(err)
		}
		data := append(bytes.Clone(head), bytes.Repeat(one, elements)...)
		n := allocated(func() { err = Encoded(data).Decode(c.into) })
		if (err != nil) != c.fails {
			t.Errorf("%.20s into %T: %v", c.element, c.into, err)
		}
		t.Logf("%.20s into %T: %.1f for each", c.element, c.into, float64(n)/float64(len(data)))
		if n > uint64(len(data))*maxGrowth {
			t.Errorf("%.20s into %T: %d bytes for %d", c.element, c.into, n, len(data))
		}
	}
}

func TestUndecodable(t *testing.T) {
	for _, c := range []struct {
		into   any
		typ    string
		remedy string
	}{
		{nil, "nil", "pointer"},
		{0, "int", "pointer"},
		{(*int)(nil), "int", "pointer"},
		{new(bool), "bool", "the type that was sent"},
		{new(chan int), "chan int", "the type that was sent"},
	} {
		err := Encoded{1}.Decode(c.into)
		var e *BodyError
		if !errors.As(err, &e) || e.Type != c.typ || !strings.Contains(e.Remedy, c.remedy) {
			t.Errorf("%T: %v", c.into, err)
		}
	}
}

type node struct {
	Name   string
	Next   *node
	Parent *node `cbor:"-"`
	Any    any
	hidden *node
}

type list []list

// self marshals itself, and what it refers to is its own affair.
type self struct{ Self *self }

func (s *self) MarshalBinary() ([]byte, error) { return []byte("self"), nil }

func deep(n int) any {
	var v any = 1
	for range n {
		v = []any{v}
	}
	return v
}

func TestUnencodable(t *testing.T) {
	loop := &node{}
	loop.Next = &node{Next: loop}
	viaAny := map[string]any{}
	viaAny["a"] = []any{viaAny}
	viaList := list{nil}
	viaList[0] = viaList
	viaField := &node{}
	viaField.Any = [1]any{struct{ N *node }{viaField}}
	viaKey := map[any]int{}
	viaKey[&viaKey] = 1
	for _, v := range []any{
		make(chan int), func() {}, complex(1, 2),
		[]any{make(chan int)},
		struct{ F func() }{},
		map[string]chan int{},
		loop, viaAny, viaList, viaField, viaKey, deep(33),
	} {
		_, err := encodeBody(v)
		var e *BodyError
		if !errors.As(err, &e) || e.Op != "encode" || e.Type != reflect.TypeOf(v).String() ||
			e.Remedy == "" {
			t.Errorf("%T: %v", v, err)
		}
	}
	parent := &node{Name: "p", hidden: loop}
	itself := &self{}
	itself.Self = itself
	shared := &step{Agent: "a"}
	for _, v := range []any{
		&node{Parent: parent, Next: parent, hidden: loop}, itself,
		[]any{itself},
		deep(32),
		[]*step{shared, shared},
		[]any{shared, shared},
		list{{}, {{}}},
		time.Now(), big.NewInt(1),
		map[any]any{1: shared, "a": shared},
	} {
		if _, err := encodeBody(v); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
}

// drawValue draws what comes out of an any as it went in.
func drawValue(t *rapid.T, depth int) any {
	kinds := 9
	if depth == 0 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Int64().Draw(t, "int")
	case 3:
		return rapid.Float64().Draw(t, "float")
	case 4:
		return string(rapid.SliceOf(rapid.Byte()).Draw(t, "string"))
	case 5:
		return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
	case 6:
		ns := rapid.Int64Range(0, math.MaxInt64).Draw(t, "time")
		return time.Unix(0, ns).UTC()
	case 7:
		v := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range v {
			v[i] = drawValue(t, depth-1)
		}
		return v
	default:
		v := map[any]any{}
		for range rapid.IntRange(0, 4).Draw(t, "pairs") {
			var key any = rapid.String().Draw(t, "key")
			if rapid.Bool().Draw(t, "numbered") {
				key = rapid.Int64().Draw(t, "key")
			}
			v[key] = drawValue(t, depth-1)
		}
		return v
	}
}

func TestAnyValueRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := []any{drawValue(t, 5)}
		body, err := encodeBody(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := encodeBody(v)
		if err != nil || !bytes.Equal(again.data, body.data) {
			t.Fatalf("the same value gives %x and %x", body.data, again.data)
		}
		received, err := decodeBody(body.kind, body.data)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeBody[[]any](received)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, back); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		clear(body.data) // the result has memory of its own
		if diff := cmp.Diff(v, back); diff != "" {
			t.Fatalf("aliased (-want +got)\n%s", diff)
		}
	})
}

func TestBigIntegers(t *testing.T) {
	for _, v := range []any{uint64(math.MaxUint64), int64(math.MinInt64), uint64(1 << 63), uint8(3)} {
		body, err := encodeBody(v)
		if err != nil {
			t.Fatal(err)
		}
		into := reflect.New(reflect.TypeOf(v))
		if err := Encoded(body.data).Decode(into.Interface()); err != nil {
			t.Error(err)
		}
		if got := into.Elem().Interface(); got != v {
			t.Errorf("%v came back as %v", v, got)
		}
		whole, err := DecodeBody[any](Encoded(body.data))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := new(big.Int).SetString(fmt.Sprint(v), 10)
		switch whole := whole.(type) {
		case int64:
			if !want.IsInt64() || want.Int64() != whole {
				t.Errorf("%v came back as %v", v, whole)
			}
		case big.Int:
			if want.Cmp(&whole) != 0 || want.IsInt64() {
				t.Errorf("%v came back as %v", v, &whole)
			}
		default:
			t.Errorf("%v came back as a %T", v, whole)
		}
	}
}
