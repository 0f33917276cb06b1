package proxy

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"
)

// decodeBody returns what [encodeBody] was given: nil, a []byte, a string, a slice of numbers of
// unnamed type, or for everything else [Encoded]. The result is a view of data wherever data is
// aligned for its elements, and a copy otherwise; so data belongs to the result from now on and,
// as a string may be a view, is never written again. The data may be anything: it sizes no
// allocation but of its own size. The error is a [*BodyError].
func decodeBody(kind bodyKind, data []byte) (any, error) {
	return decodeBodyOn(hostBigEndian, kind, data)
}

func decodeBodyOn(bigEndian bool, kind bodyKind, data []byte) (any, error) {
	data = data[:len(data):len(data)]
	switch kind {
	case kindEmpty:
		if len(data) > 0 {
			return nil, malformedBody(kind, fmt.Errorf("it has %d bytes", len(data)))
		}
		return nil, nil
	case kindBytes:
		return data, nil
	case kindText:
		return unsafe.String(unsafe.SliceData(data), len(data)), nil
	case kindCBOR:
		return Encoded(data), nil
	case kindF64:
		return numbersOf[float64](bigEndian, kind, data)
	case kindF32:
		return numbersOf[float32](bigEndian, kind, data)
	case kindI8:
		return numbersOf[int8](bigEndian, kind, data)
	case kindI16:
		return numbersOf[int16](bigEndian, kind, data)
	case kindU16:
		return numbersOf[uint16](bigEndian, kind, data)
	case kindI32:
		return numbersOf[int32](bigEndian, kind, data)
	case kindU32:
		return numbersOf[uint32](bigEndian, kind, data)
	case kindI64:
		return numbersOf[int64](bigEndian, kind, data)
	case kindU64:
		return numbersOf[uint64](bigEndian, kind, data)
	}
	return nil, malformedBody(kind, errors.New("unknown kind of body"))
}

func malformedBody(kind bodyKind, err error) error {
	return &BodyError{
		Op: "decode", Kind: kind.String(), Err: err,
		Remedy: "run the same version of Tutti at both ends",
	}
}

func numbersOf[T number](bigEndian bool, kind bodyKind, data []byte) (any, error) {
	size := int(unsafe.Sizeof(*new(T)))
	if len(data)%size != 0 {
		return nil, malformedBody(kind,
			fmt.Errorf("%d bytes are no whole number of elements of %d", len(data), size))
	}
	if len(data) == 0 {
		return []T{}, nil
	}
	start := unsafe.Pointer(unsafe.SliceData(data))
	if uintptr(start)%unsafe.Alignof(*new(T)) == 0 && (!bigEndian || size == 1) {
		return unsafe.Slice((*T)(start), len(data)/size), nil
	}
	numbers := make([]T, len(data)/size)
	memory := numberBytes(numbers)
	copy(memory, data)
	if bigEndian {
		turnElements(memory, size)
	}
	return numbers, nil
}

// DecodeBody returns the body of a received message as a T:
//
//   - a body of T itself, so a []byte, a string or a slice of numbers, as it is;
//   - a string as any type named after string, a slice of numbers as any slice whose elements are
//     the same kind of number: type Params []float32, or []time.Duration for a []int64;
//   - [Encoded] decoded into a T, as by [Encoded.Decode]; T any gives a value, not an Encoded;
//   - no body as nil, where T has a nil.
//
// Nothing else is converted, neither a []byte to a string nor a []float32 to a []float64. What
// comes out of the first two shares the memory of body, so it costs nothing whatever its size;
// what is decoded has memory of its own. DecodeBody does not block and may be called
// concurrently. The error is a [*BodyError], and then the result is the zero T.
func DecodeBody[T any](body any) (T, error) {
	encoded, isEncoded := body.(Encoded)
	if exact, ok := body.(T); ok && !isEncoded {
		return exact, nil
	}
	var into, zero T
	if as, ok := any(&into).(*Encoded); ok && isEncoded {
		*as = encoded
		return into, nil
	}
	if isEncoded {
		if err := encoded.Decode(&into); err != nil {
			return zero, err
		}
		return into, nil
	}
	v, err := viewAs(body, reflect.TypeFor[T]())
	if err != nil {
		return zero, err
	}
	reflect.ValueOf(&into).Elem().Set(v)
	return into, nil
}

// viewAs returns body as a value of type t that shares its memory.
func viewAs(body any, t reflect.Type) (reflect.Value, error) {
	if body == nil {
		return emptyAs(t)
	}
	v := reflect.ValueOf(body)
	switch {
	case v.Kind() == reflect.String && t.Kind() == reflect.String:
		return v.Convert(t), nil
	case v.Kind() == reflect.Slice && t.Kind() == reflect.Slice &&
		v.Type().Elem().Kind() == t.Elem().Kind():
		if _, ok := numberKinds[t.Elem().Kind()]; ok {
			return reflect.SliceAt(t.Elem(), v.UnsafePointer(), v.Len()).Convert(t), nil
		}
	}
	return v, &BodyError{
		Op: "decode", Type: t.String(), Err: fmt.Errorf("the body is a %T", body),
		Remedy: fmt.Sprintf("decode it into a %T and convert that", body),
	}
}

func emptyAs(t reflect.Type) (reflect.Value, error) {
	switch t.Kind() {
	case reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice:
		return reflect.Zero(t), nil
	}
	return reflect.Value{}, &BodyError{
		Op: "decode", Kind: kindEmpty.String(), Type: t.String(),
		Err:    errors.New("the message has no body"),
		Remedy: "look for a nil Body first, or decode into a pointer",
	}
}
