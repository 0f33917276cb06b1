package tensor

import (
	"fmt"
	"strings"
	"unsafe"
)

// Type names the element type of a vector. The zero value is invalid. The numbers travel in the
// fingerprint of a call and in frames: they never change.
type Type uint8

// The element types.
const (
	F64  Type = iota + 1 // float64, IEEE 754 binary64
	F32                  // float32, IEEE 754 binary32
	F16                  // Float16, IEEE 754 binary16
	BF16                 // BFloat16, the upper half of a binary32
	I8                   // int8, two's complement, wraps around
	U8                   // uint8
	I32                  // int32
	I64                  // int64
	U64                  // uint64

	typeCount = iota + 1 // one more than the last: the length of a table indexed by Type
)

// Element is the Go side of [Type]: the element types of typed slices.
type Element interface {
	float64 | float32 | Float16 | BFloat16 | int8 | uint8 | int32 | int64 | uint64
}

var typeNames = [typeCount]string{
	F64: "f64", F32: "f32", F16: "f16", BF16: "bf16",
	I8: "i8", U8: "u8", I32: "i32", I64: "i64", U64: "u64",
}

// otherTypeNames are the spellings of NVIDIA's nccl-tests, option -d.
var otherTypeNames = map[string]Type{
	"double": F64, "float": F32, "half": F16, "bfloat16": BF16,
	"int8": I8, "uint8": U8, "int32": I32, "int64": I64, "uint64": U64,
}

var typeSizes = [typeCount]uint8{
	F64: 8, F32: 4, F16: 2, BF16: 2,
	I8: 1, U8: 1, I32: 4, I64: 8, U64: 8,
}

// Size returns the bytes of one element, 0 for an invalid type.
func (t Type) Size() int {
	if t >= typeCount {
		return 0
	}
	return int(typeSizes[t])
}

// String returns the short name: f64 f32 f16 bf16 i8 u8 i32 i64 u64, or Type(n) if invalid.
func (t Type) String() string {
	if !t.Valid() {
		return fmt.Sprintf("Type(%d)", uint8(t))
	}
	return typeNames[t]
}

// Valid reports whether t is one of the nine types.
func (t Type) Valid() bool { return t > 0 && t < typeCount }

// float reports whether division has a meaning for t.
func (t Type) float() bool { return t >= F64 && t <= BF16 }

// Types returns the nine types in the order of their numbers, in a slice of the caller's own.
func Types() []Type {
	return []Type{F64, F32, F16, BF16, I8, U8, I32, I64, U64}
}

// ParseType returns the type with the given name: one that [Type.String] prints, or the nccl-tests
// spelling (float, double, half, bfloat16, int8, uint8, int32, int64, uint64). Case matters, as
// there. The error is a [*NameError].
func ParseType(s string) (Type, error) {
	for _, t := range Types() {
		if typeNames[t] == s {
			return t, nil
		}
	}
	if t, ok := otherTypeNames[s]; ok {
		return t, nil
	}
	return 0, &NameError{Kind: "element type", Name: s, Known: typeNames[F64:]}
}

// NameError says that a name stands for no type or no operation.
type NameError struct {
	Kind  string   // "element type" or "operation"
	Name  string   // what was asked for
	Known []string // the names that would have been understood; read-only
}

// Error names the unknown name and the known ones.
func (e *NameError) Error() string {
	return fmt.Sprintf("tensor: unknown %s %q, use one of %s",
		e.Kind, e.Name, strings.Join(e.Known, ", "))
}

// TypeOf returns the Type of T. It allocates nothing, and compiles to a constant for all but the types of two
// bytes.
func TypeOf[T Element]() Type {
	// A switch on the type would hash it: types of one shape share their code. Few shapes have two types.
	var zero T
	one := zero + 1
	fraction, signed := one/2 != 0, zero-one < zero
	switch unsafe.Sizeof(zero) {
	case 1:
		if signed {
			return I8
		}
		return U8
	case 2: // both are uint16 beneath
		if _, ok := any(zero).(Float16); ok {
			return F16
		}
		return BF16
	case 4:
		if fraction {
			return F32
		}
		return I32
	}
	switch {
	case fraction:
		return F64
	case signed:
		return I64
	}
	return U64
}
