package proxy

import (
	"errors"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// The bounds of a CBOR body, kept by the sender and enforced by the receiver.
const (
	// maxNesting bounds how deep arrays, maps and tags lie in each other, and with it the stack of
	// who decodes them.
	maxNesting = 32
	// maxArrayElements and maxMapPairs bound one array and one map. An element takes at least a
	// byte of the body, so they bound nothing that the size of the body does not; they are there to
	// tell a sender early that a slice of numbers should have been the body itself.
	maxArrayElements = 1 << 24
	maxMapPairs      = 1 << 20
)

// Encoded is the body of a received message that was neither bytes, text nor a slice of numbers:
// one CBOR data item, RFC 8949. It is a view of the memory of the message. Sent on as a Body it
// travels as it is.
type Encoded []byte

// Decode decodes the body into the value that into points to, by the rules of
// github.com/fxamacker/cbor: a map into a struct by the names of its fields, which are compared
// exactly and may be given by `cbor` and `json` tags; names that the struct lacks are ignored.
// Into an any, maps come as map[any]any, arrays as []any, integers as int64 or, where they do not
// fit, big.Int, floats as float64, and times as time.Time.
//
// The bytes are not trusted. They must be one data item, nested at most 32 deep, of definite
// lengths, without a key twice in a map; lengths are checked against the bytes that are there
// before anything is allocated, so that what is allocated is bounded by their number: at worst
// 170 bytes for each, for maps of one pair into an any, and otherwise for each byte at most an
// element of the slices in into. No tag makes the decoder run code; methods of the type of into,
// such as UnmarshalCBOR, it does call.
//
// The result shares no memory with e. Decode does not block and may be called concurrently with
// different values. The error is a [*BodyError]; the value may then be filled in part.
func (e Encoded) Decode(into any) error {
	err := codec.decoding.Unmarshal(e, into)
	if err == nil {
		return nil
	}
	return &BodyError{
		Op: "decode", Kind: kindCBOR.String(), Type: typeName(into), Err: err,
		Remedy: decodingRemedy(err),
	}
}

func typeName(pointer any) string {
	t := reflect.TypeOf(pointer)
	switch {
	case t == nil:
		return "nil"
	case t.Kind() == reflect.Pointer:
		return t.Elem().String()
	}
	return t.String()
}

func decodingRemedy(err error) string {
	var (
		target   *cbor.InvalidUnmarshalError
		mismatch *cbor.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &target):
		return "give a pointer to the value to fill"
	case errors.As(err, &mismatch):
		return "decode into the type that was sent, or into an any"
	}
	return "make sure that sender and receiver run the same version of Tutti"
}

// codec has the modes for both directions, and is made once.
var codec = newCodec()

type modes struct {
	encoding cbor.EncMode
	decoding cbor.DecMode
}

// newCodec panics for options that exclude each other, which the first test that runs finds.
func newCodec() modes {
	must := func(err error) {
		if err != nil {
			panic("proxy: the options for CBOR: " + err.Error())
		}
	}
	encode := cbor.CoreDetEncOptions()
	// Nanoseconds, and a tag by which a time comes out of an any as a time.
	encode.Time, encode.TimeTag = cbor.TimeRFC3339NanoUTC, cbor.EncTagRequired
	encoding, err := encode.EncMode()
	must(err)
	decoding, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   maxNesting,
		MaxArrayElements:  maxArrayElements,
		MaxMapPairs:       maxMapPairs,
		IndefLength:       cbor.IndefLengthForbidden,
		IntDec:            cbor.IntDecConvertSignedOrBigInt,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		// Go's strings may be any bytes, and come back as they went.
		UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	must(err)
	return modes{encoding, decoding}
}

// encodeCBOR returns v as CBOR that a receiver accepts.
func encodeCBOR(v any) ([]byte, error) {
	if containsItself(reflect.ValueOf(v), 0) {
		return nil, encodingError(v, errors.New("the value contains itself, or is thousands deep"),
			"break the cycle, or leave a field out by the tag `cbor:\"-\"`")
	}
	data, err := codec.encoding.Marshal(v)
	if err != nil {
		return nil, encodingError(v, err, "send data only: channels, functions and complex "+
			"numbers are none; the tag `cbor:\"-\"` leaves a field out")
	}
	if err := codec.decoding.Wellformed(data); err != nil {
		return nil, encodingError(v, err,
			"send large arrays of numbers as slices of their own messages, and nest less")
	}
	return data, nil
}

// relayed is the body of who sends on what was received.
func relayed(e Encoded) (encodedBody, error) {
	if err := codec.decoding.Wellformed(e); err != nil {
		return encodedBody{}, encodingError(e, err,
			"an Encoded is one CBOR item; send other bytes as []byte")
	}
	return encodedBody{kindCBOR, e}, nil
}

func encodingError(v any, err error, remedy string) error {
	return &BodyError{
		Op: "encode", Kind: kindCBOR.String(), Type: reflect.TypeOf(v).String(), Err: err,
		Remedy: remedy,
	}
}

// maxSteps is how many pointers, interfaces and containers are followed before a value is said to
// contain itself. What may be sent needs about three for each of maxNesting levels.
const maxSteps = 1000

// containsItself looks for a cycle, at which the encoder would overflow its stack and end the
// process. Values whose types allow none are not walked.
func containsItself(v reflect.Value, steps int) bool {
	if !v.IsValid() || !mayContainItself(v.Type()) {
		return false
	}
	if steps > maxSteps {
		return true
	}
	steps++
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return containsItself(v.Elem(), steps)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if containsItself(v.Index(i), steps) {
				return true
			}
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			if containsItself(entry.Key(), steps) || containsItself(entry.Value(), steps) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if isEncoded(v.Type().Field(i)) && containsItself(v.Field(i), steps) {
				return true
			}
		}
	}
	return false
}

func isEncoded(f reflect.StructField) bool {
	tag, ok := f.Tag.Lookup("cbor")
	if !ok {
		tag = f.Tag.Get("json")
	}
	return tag != "-" && (f.IsExported() || f.Anonymous)
}

var cyclicTypes sync.Map // reflect.Type to bool: what mayContainItself has found

// mayContainItself reports whether t has an interface within, or refers to itself.
func mayContainItself(t reflect.Type) bool {
	if may, ok := cyclicTypes.Load(t); ok {
		return may.(bool)
	}
	may := refersBack(t, map[reflect.Type]bool{})
	cyclicTypes.Store(t, may)
	return may
}

// refersBack walks depth first: seen is true for the types that it is within, and false for those
// that it has left.
func refersBack(t reflect.Type, seen map[reflect.Type]bool) bool {
	if within, ok := seen[t]; ok {
		return within
	}
	if marshalsItself(t) {
		return false
	}
	seen[t] = true
	defer func() { seen[t] = false }()
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return refersBack(t.Elem(), seen)
	case reflect.Map:
		return refersBack(t.Key(), seen) || refersBack(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); isEncoded(f) && refersBack(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
