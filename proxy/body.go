package proxy

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"unsafe"

	"github.com/fxamacker/cbor/v2"
)

// bodyKind says on the wire what the bytes of a body are. The numbers never change.
type bodyKind uint8

// The kinds of bodies. Those from kindF64 on are the memory of a slice of numbers, little-endian
// and without gaps; uint8 has no number of its own, being a byte.
const (
	kindEmpty bodyKind = 0 // no body; the data is empty
	kindBytes bodyKind = 1 // []byte
	kindText  bodyKind = 2 // string; Go's, so not necessarily UTF-8
	kindCBOR  bodyKind = 3 // one CBOR data item, RFC 8949
	kindF64   bodyKind = 8 // []float64
	kindF32   bodyKind = 9
	kindI8    bodyKind = 10
	kindI16   bodyKind = 11
	kindU16   bodyKind = 12
	kindI32   bodyKind = 13
	kindU32   bodyKind = 14
	kindI64   bodyKind = 15
	kindU64   bodyKind = 16
)

var bodyKindNames = [...]string{
	kindEmpty: "empty", kindBytes: "bytes", kindText: "text", kindCBOR: "CBOR",
	kindF64: "f64", kindF32: "f32", kindI8: "i8", kindI16: "i16", kindU16: "u16",
	kindI32: "i32", kindU32: "u32", kindI64: "i64", kindU64: "u64",
}

func (k bodyKind) String() string {
	if int(k) < len(bodyKindNames) && bodyKindNames[k] != "" {
		return bodyKindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// number is an element of the slices that travel as they are.
type number interface {
	float64 | float32 | int8 | uint8 | int16 | uint16 | int32 | uint32 | int64 | uint64
}

// numberKinds has the kind of a body for the kind of its elements, named types among them.
var numberKinds = map[reflect.Kind]bodyKind{
	reflect.Uint8:   kindBytes,
	reflect.Float64: kindF64, reflect.Float32: kindF32, reflect.Int8: kindI8,
	reflect.Int16: kindI16, reflect.Uint16: kindU16, reflect.Int32: kindI32,
	reflect.Uint32: kindU32, reflect.Int64: kindI64, reflect.Uint64: kindU64,
}

// hostBigEndian reports the byte order of this machine.
var hostBigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// encodedBody is a body as it travels.
type encodedBody struct {
	kind bodyKind
	data []byte // read-only: often the memory of the value itself, and that of a string for text
}

// encodeBody returns the bytes of v. Those of a []byte, a string or a slice of numbers, also of
// types named after one, are the memory of v, which so must not change while they are in use; on
// a big-endian machine numbers are copied. An [Encoded] travels as it is. A type that marshals
// itself (cbor.Marshaler, encoding.BinaryMarshaler) and everything else is written as CBOR, in
// the core deterministic form. The error is a [*BodyError].
func encodeBody(v any) (encodedBody, error) { return encodeBodyOn(hostBigEndian, v) }

func encodeBodyOn(bigEndian bool, v any) (encodedBody, error) {
	switch v := v.(type) {
	case nil:
		return encodedBody{}, nil
	case []byte:
		return encodedBody{kindBytes, v}, nil
	case string:
		return encodedBody{kindText, textBytes(v)}, nil
	case Encoded:
		return relayed(v)
	case []float64:
		return numbersBody(bigEndian, kindF64, v), nil
	case []float32:
		return numbersBody(bigEndian, kindF32, v), nil
	case []int8:
		return numbersBody(bigEndian, kindI8, v), nil
	case []int16:
		return numbersBody(bigEndian, kindI16, v), nil
	case []uint16:
		return numbersBody(bigEndian, kindU16, v), nil
	case []int32:
		return numbersBody(bigEndian, kindI32, v), nil
	case []uint32:
		return numbersBody(bigEndian, kindU32, v), nil
	case []int64:
		return numbersBody(bigEndian, kindI64, v), nil
	case []uint64:
		return numbersBody(bigEndian, kindU64, v), nil
	}
	if body, ok := namedBody(bigEndian, reflect.ValueOf(v)); ok {
		return body, nil
	}
	data, err := encodeCBOR(v)
	return encodedBody{kindCBOR, data}, err
}

// namedBody encodes types such as Params, a []float32, that do not marshal themselves.
func namedBody(bigEndian bool, v reflect.Value) (encodedBody, bool) {
	t := v.Type()
	switch {
	case marshalsItself(t):
		return encodedBody{}, false
	case t.Kind() == reflect.String:
		return encodedBody{kindText, textBytes(v.String())}, true
	case t.Kind() != reflect.Slice || marshalsItself(t.Elem()):
		return encodedBody{}, false
	}
	kind, ok := numberKinds[t.Elem().Kind()]
	if !ok {
		return encodedBody{}, false
	}
	size := int(t.Elem().Size())
	data := unsafe.Slice((*byte)(v.UnsafePointer()), v.Len()*size)
	return encodedBody{kind, toLittle(bigEndian, data, size)}, true
}

var (
	cborMarshaler   = reflect.TypeFor[cbor.Marshaler]()
	binaryMarshaler = reflect.TypeFor[encoding.BinaryMarshaler]()
)

func marshalsItself(t reflect.Type) bool {
	p := t
	if t.Kind() != reflect.Interface && t.Kind() != reflect.Pointer {
		p = reflect.PointerTo(t) // has the methods of t, too
	}
	return p.Implements(cborMarshaler) || p.Implements(binaryMarshaler)
}

func textBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func numbersBody[T number](bigEndian bool, kind bodyKind, v []T) encodedBody {
	return encodedBody{kind, toLittle(bigEndian, numberBytes(v), int(unsafe.Sizeof(*new(T))))}
}

// numberBytes returns the memory of v.
func numberBytes[T number](v []T) []byte {
	size := int(unsafe.Sizeof(*new(T)))
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*size)
}

// toLittle returns data on a little-endian machine, and a copy with every element turned round on
// a big-endian one.
func toLittle(bigEndian bool, data []byte, size int) []byte {
	if !bigEndian || size == 1 {
		return data
	}
	data = slices.Clone(data)
	turnElements(data, size)
	return data
}

func turnElements(data []byte, size int) {
	for element := range slices.Chunk(data, size) {
		slices.Reverse(element)
	}
}
