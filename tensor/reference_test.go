package tensor

import (
	"math"
	"math/big"
	"sort"
)

// The reference: one element at a time, in arithmetic that is exact before it rounds, with the
// rounding of every floating-point type found by search among the numbers of its format.

// reference returns the bits of x op y.
func reference(op Op, typ Type, x, y uint64) uint64 {
	if f, ok := formats[typ]; ok {
		return f.reference(op, x, y)
	}
	bits := uint(8 * typ.Size())
	mask := uint64(math.MaxUint64) >> (64 - bits)
	signed := typ == I8 || typ == I32 || typ == I64
	read := func(v uint64) *big.Int {
		n := new(big.Int).SetUint64(v)
		if signed && v>>(bits-1) == 1 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), bits))
		}
		return n
	}
	a, b := read(x), read(y)
	switch {
	case op == Sum:
		a.Add(a, b)
	case op == Prod:
		a.Mul(a, b)
	case op == Min && b.Cmp(a) < 0, op == Max && b.Cmp(a) > 0:
		a = b
	}
	// The bits of a, modulo 2^bits: And treats negative numbers as two's complement.
	return a.And(a, new(big.Int).SetUint64(mask)).Uint64()
}

func (f format) reference(op Op, x, y uint64) uint64 {
	a, b := f.value(x), f.value(y)
	switch {
	case math.IsNaN(a) || math.IsNaN(b):
		return f.nan()
	case op == Min || op == Max:
		less := a < b || (a == b && x&f.sign() != 0)
		if less == (op == Min) {
			return x
		}
		return y
	case math.IsInf(a, 0) || math.IsInf(b, 0):
		// float64 knows the rules of infinities; the result is infinite or NaN.
		r := a + b
		if op == Prod {
			r = a * b
		}
		if math.IsNaN(r) {
			return f.nan()
		}
		return f.infinite(math.Signbit(r))
	}
	// 2400 bits hold any sum of two float64, 106 any product.
	p, q := big.NewFloat(a).SetPrec(2400), big.NewFloat(b).SetPrec(2400)
	if op == Prod {
		return f.nearest(p.Mul(p, q), math.Signbit(a) != math.Signbit(b))
	}
	// An exact zero of two numbers that are not both -0 is +0.
	return f.nearest(p.Add(p, q), math.Signbit(a) && math.Signbit(b))
}

func (f format) infinite(negative bool) uint64 {
	if negative {
		return f.inf() | f.sign()
	}
	return f.inf()
}

// nearest rounds v to nearest, ties to even. negativeZero is the sign of an exact zero; any other v
// has its own.
func (f format) nearest(v *big.Float, negativeZero bool) uint64 {
	negative := v.Signbit()
	if v.Sign() == 0 {
		negative = negativeZero
	}
	magnitude := new(big.Float).Abs(v)
	number := func(bits uint64) *big.Float { // the format goes on beyond its largest number
		if bits == f.inf() {
			return new(big.Float).SetMantExp(big.NewFloat(1), 1<<(f.exponent-1))
		}
		return new(big.Float).SetPrec(2400).SetFloat64(f.value(bits))
	}
	// The first number above v, and the one below it: bits of one sign are in order.
	above := uint64(sort.Search(int(f.inf()), func(i int) bool {
		return number(uint64(i)).Cmp(magnitude) > 0
	}))
	below := above - 1
	toBelow := new(big.Float).Sub(magnitude, number(below))
	toAbove := new(big.Float).Sub(number(above), magnitude)
	bits := below
	if c := toAbove.Cmp(toBelow); c < 0 || (c == 0 && above%2 == 0) {
		bits = above
	}
	if above == f.inf() && number(above).Cmp(magnitude) <= 0 {
		bits = f.inf()
	}
	if negative {
		bits |= f.sign()
	}
	return bits
}

// referenceQuotient divides as Finish promises: f64 in float64, all others in float32 and, if
// narrower, rounded again.
func referenceQuotient(typ Type, x uint64, count int) uint64 {
	f := formats[typ]
	v := f.value(x)
	if math.IsNaN(v) {
		return f.nan()
	}
	var q float64
	if typ == F64 {
		q = v / float64(count)
	} else {
		q = float64(float32(v) / float32(count))
	}
	if math.IsInf(q, 0) {
		return f.infinite(q < 0)
	}
	return f.nearest(big.NewFloat(q), math.Signbit(q))
}
