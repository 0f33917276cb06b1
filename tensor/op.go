package tensor

import (
	"fmt"
	"hash/fnv"
)

// Op is a reduction operation. It is a small comparable value; the zero value is invalid.
// Two values of the same built-in operation are equal; two calls of [Func] give values that are
// not, but agree in [Op.Code] and [Op.ID] when their names agree.
type Op struct {
	code uint8
	fn   *function
}

// The numbers travel in the fingerprint of a call: they never change.
const (
	codeSum  = 1
	codeProd = 2
	codeMin  = 3
	codeMax  = 4
	codeAvg  = 5
	codeUser = UserCode

	opCount = codeMax + 1 // the length of a table indexed by the code of an operation with kernels
)

// UserCode is the Code of a user's function.
const UserCode = 255

// The built-in operations. Their exact results are in the package documentation.
var (
	Sum  = Op{code: codeSum}
	Prod = Op{code: codeProd}
	Min  = Op{code: codeMin}
	Max  = Op{code: codeMax}
	// Avg reduces as Sum and divides by the number of contributions at the end: see [Op.Finish].
	// Floating-point types only.
	Avg = Op{code: codeAvg}
)

var opNames = [...]string{
	codeSum: "sum", codeProd: "prod", codeMin: "min", codeMax: "max", codeAvg: "avg",
}

// function is what a user's operation needs beside its code; nil call means that it is unusable.
type function struct {
	name string
	id   uint32
	typ  Type
	call func(dst, a, b []byte)
}

// Func makes an operation of a user's function, defined for vectors of T only.
//
// f sets dst[i] to a[i] op b[i] for every i; the three slices have equal length, and dst may be a
// or b itself (never a shifted part of them). The operation must be associative and commutative,
// and f must not keep the slices; it may be called from several goroutines at once. What happens when it panics
// is up to who reduces: package collective makes an error of it. All ranks must
// pass the same name, which is all that a mismatch check can compare.
//
// An empty name or a nil f gives an operation that [Op.Supports] refuses for every type.
func Func[T Element](name string, f func(dst, a, b []T)) Op {
	fn := &function{name: name, typ: TypeOf[T]()}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash.Hash never returns an error
	fn.id = h.Sum32()
	if name != "" && f != nil {
		fn.call = func(dst, a, b []byte) { f(view[T](dst), view[T](a), view[T](b)) }
	}
	return Op{code: codeUser, fn: fn}
}

// Ops returns the five built-in operations in the order of their codes, in a slice of the caller's
// own.
func Ops() []Op { return []Op{Sum, Prod, Min, Max, Avg} }

// ParseOp returns the built-in operation with the given name: sum, prod, min, max or avg.
// The error is a [*NameError].
func ParseOp(s string) (Op, error) {
	for code, name := range opNames {
		if code > 0 && name == s {
			return Op{code: uint8(code)}, nil
		}
	}
	return Op{}, &NameError{Kind: "operation", Name: s, Known: opNames[codeSum:]}
}

// String returns the name of a built-in operation, the name given to [Func], or "invalid".
func (o Op) String() string {
	switch {
	case o.fn != nil:
		return o.fn.name
	case o.code > 0 && int(o.code) < len(opNames):
		return opNames[o.code]
	default:
		return "invalid"
	}
}

// Code returns 1 to 5 for sum, prod, min, max and avg, UserCode for a user's function and 0 for the zero
// value.
func (o Op) Code() uint8 { return o.code }

// ID returns 0 for a built-in operation and the 32-bit FNV-1a hash of the name for a user's one, which may be 0,
// too.
// Code and ID together stand for the operation in the fingerprint of a call.
func (o Op) ID() uint32 {
	if o.fn == nil {
		return 0
	}
	return o.fn.id
}

// Supports returns nil if o is defined for vectors of t, else a [*UnsupportedError].
func (o Op) Supports(t Type) error {
	refuse := func(reason, remedy string) error {
		return &UnsupportedError{Op: o, Type: t, Reason: reason, Remedy: remedy}
	}
	switch {
	case !t.Valid():
		return refuse("the element type is not valid", "use one of Types")
	case o.code == 0:
		return refuse("it is the zero value", "use one of Ops or Func")
	case o.code == codeAvg && !t.float():
		return refuse("an average of integers is not an integer", "reduce with sum and divide")
	case o.code != codeUser:
		return nil
	case o.fn.call == nil:
		return refuse("it has no name or no function", "pass both to Func")
	case o.fn.typ != t:
		return refuse("the function is defined for "+o.fn.typ.String()+" only",
			"make one with Func for this type")
	}
	return nil
}

// UnsupportedError says that an operation is not defined for an element type, why, and what to do.
type UnsupportedError struct {
	Op     Op
	Type   Type
	Reason string
	Remedy string
}

// Error names operation, type, reason and remedy.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("tensor: no operation %v for type %v: %s; %s", e.Op, e.Type, e.Reason, e.Remedy)
}
