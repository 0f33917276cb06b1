package main

import (
	"math"

	"github.com/tutti-ml/tutti/tensor"
)

// values says which number each rank has at each index of its buffer, and what their combination
// is. All are whole numbers, held as int64, such that
//
//   - an element of the wrong rank or index shows: the numbers are a hash of both;
//   - a stale element of an earlier call shows: each call has its own seed;
//   - combining them is exact in the element type, whatever the order and the rounding between.
//
// Integer types wrap around as int64 does, and are cut to their size at the end.
type values struct {
	op    tensor.Op
	ranks int
	seed  uint64
	limit int64 // floating point: all whole numbers up to it are exact; 0 for integers
	lo    int64 // least and largest number for what is moved or compared
	hi    int64
	at    func(rank, index int) int64
}

// maxDoubling is how many ranks may have a factor of 2 at an index: 2^6 is exact in every type, and
// is not cut off in the narrowest.
const maxDoubling = 6

// newValues returns the numbers for reductions by op, or for moving elements if op is zero.
func newValues(typ tensor.Type, op tensor.Op, ranks int, seed uint64) *values {
	v := &values{op: op, ranks: ranks, seed: mix(seed)}
	switch typ {
	case tensor.F64:
		v.limit = 1 << 53
	case tensor.F32:
		v.limit = 1 << 24
	case tensor.F16:
		v.limit = 1 << 11
	case tensor.BF16:
		v.limit = 1 << 8
	case tensor.I8:
		v.lo, v.hi = math.MinInt8, math.MaxInt8
	case tensor.U8:
		v.lo, v.hi = 0, math.MaxUint8
	case tensor.I32:
		v.lo, v.hi = math.MinInt32, math.MaxInt32
	case tensor.I64:
		v.lo, v.hi = -1<<62, 1<<62
	default:
		v.lo, v.hi = 0, 1<<62
	}
	if v.limit != 0 {
		v.lo, v.hi = -v.limit, v.limit
	}
	switch op {
	case tensor.Sum:
		v.at = v.addend
	case tensor.Prod:
		v.at = v.factor
	case tensor.Avg:
		v.at = v.averaged
	default: // moved, min, max
		v.at = func(rank, index int) int64 { return between(v.hash(rank, index), v.lo, v.hi) }
	}
	return v
}

// addend keeps the magnitudes of all ranks' numbers at an index within limit together, so that
// every partial sum is exact. Where there are more ranks than that, most of them have 0.
func (v *values) addend(rank, index int) int64 {
	if v.limit == 0 {
		return between(v.hash(rank, index), v.lo, v.hi)
	}
	most := v.limit / int64(v.ranks)
	if most == 0 {
		most = 1
		if int64((rank+index)%v.ranks) >= v.limit {
			return 0
		}
	}
	return between(v.hash(rank, index), -most, most)
}

// factor is 1 or -1, times 2 on at most maxDoubling ranks of an index.
func (v *values) factor(rank, index int) int64 {
	h := v.hash(rank, index)
	f := int64(1)
	if (rank+index)%v.ranks < maxDoubling && h&2 != 0 {
		f = 2
	}
	if h&1 != 0 {
		f = -f
	}
	return f
}

// averaged gives all ranks one number, the average, from which ranks 2i and 2i+1 deviate by the
// same amount up and down. Magnitudes together stay within limit as in addend; where that leaves
// less than one for the number and one for the deviation, the number is 0.
func (v *values) averaged(rank, index int) int64 {
	pair := rank / 2
	most := v.limit / int64(v.ranks) / 2
	deviation := between(v.hash(pair, index), -max(most, 1), max(most, 1))
	switch {
	case rank == v.ranks-1 && rank%2 == 0:
		deviation = 0 // it has no partner
	case most == 0 && int64((pair+index)%(v.ranks/2)) >= v.limit/2:
		deviation = 0
	case rank%2 == 1:
		deviation = -deviation
	}
	return between(v.hash(v.ranks, index), -most, most) + deviation
}

// combined returns what a reduction must give at an index.
func (v *values) combined(index int) int64 {
	result := v.at(0, index)
	for rank := 1; rank < v.ranks; rank++ {
		x := v.at(rank, index)
		switch v.op {
		case tensor.Prod:
			result *= x
		case tensor.Min:
			result = min(result, x)
		case tensor.Max:
			result = max(result, x)
		default:
			result += x
		}
	}
	if v.op == tensor.Avg {
		result /= int64(v.ranks)
	}
	return result
}

func (v *values) hash(rank, index int) uint64 {
	return mix(v.seed + uint64(rank)*0x9E3779B97F4A7C15 + uint64(index)*0xD1B54A32D192ED03)
}

// mix is the finaliser of Sebastiano Vigna's SplitMix64: every input bit changes every output bit
// with probability one half.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// between maps a hash to a number from lo to hi.
func between(h uint64, lo, hi int64) int64 {
	return lo + int64(h%uint64(hi-lo+1))
}

// element converts a number to the element type: exactly to a floating-point type, cut to the size
// of an integer type.
func element[T tensor.Element](x int64) T {
	var t T
	switch p := any(&t).(type) {
	case *float64:
		*p = float64(x)
	case *float32:
		*p = float32(x)
	case *tensor.Float16:
		*p = tensor.ToFloat16(float32(x))
	case *tensor.BFloat16:
		*p = tensor.ToBFloat16(float32(x))
	case *int8:
		*p = int8(x)
	case *uint8:
		*p = uint8(x)
	case *int32:
		*p = int32(x)
	case *int64:
		*p = x
	case *uint64:
		*p = uint64(x)
	}
	return t
}
