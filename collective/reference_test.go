package collective

import (
	"fmt"
	"slices"
	"sync"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// variant is one call that the tests make: everything but the algorithm and the driver.
type variant struct {
	coll  schedule.Collective
	typ   tensor.Type
	op    string // "" where nothing is reduced, else the operation's name; "user" for a function
	size  int    // ranks
	n     int    // elements of the vector, or of each block where they are even
	shape shape
	root  int
	place placement
	skew  int // elements between the start of memory and a buffer
}

func (v variant) String() string {
	s := fmt.Sprintf("%s of %d %s on %d ranks", v.coll, v.n, v.typ, v.size)
	if v.op != "" {
		s += " " + v.op
	}
	if v.coll.Rooted() {
		s += fmt.Sprint(" root ", v.root)
	}
	return fmt.Sprintf("%s, %s, %s, skew %d", s, v.shape, v.place, v.skew)
}

// shape is how long the blocks are.
type shape string

const (
	even      shape = "even blocks"
	evenly    shape = "even counts" // the v-variant with equal counts
	rising    shape = "rising counts"
	holes     shape = "holes"
	alone     shape = "all in one block"
	irregular shape = "irregular counts"
)

var shapes = []shape{even, evenly, rising, holes, alone, irregular}

// placement is where the result goes.
type placement string

const (
	outOfPlace placement = "out of place"
	inPlace    placement = "in place"
	mixedPlace placement = "in place on odd ranks"
)

var places = []placement{outOfPlace, inPlace, mixedPlace}

func (v variant) inPlace(rank int) bool {
	return v.place == inPlace || v.place == mixedPlace && rank%2 == 1
}

// counts are the elements of each rank's block.
func (v variant) counts() []int {
	c := make([]int, v.size)
	for r := range c {
		c[r] = v.cell(0, r)
	}
	return c
}

// cell is what rank i sends to rank j in an all-to-all; the blocks of the others are like those
// that rank 0 sends.
func (v variant) cell(i, j int) int {
	switch v.shape {
	case rising:
		return (i + j) % v.size * v.n / max(1, v.size/2)
	case holes:
		return (i + j) % 2 * v.n
	case alone:
		if (i+j)%v.size == v.size/2 {
			return v.n * v.size
		}
		return 0
	case irregular:
		return int(mix(i, j) % uint64(2*v.n+1))
	}
	return v.n
}

func offsets(counts []int) []int {
	o := make([]int, len(counts)+1)
	for i, c := range counts {
		o[i+1] = o[i] + c
	}
	return o
}

// mix is a number that looks like chance.
func mix(a, b int) uint64 {
	x := uint64(a)*0x9E3779B97F4A7C15 + uint64(b)*0xD1B54A32D192ED03 + 0x2545F4914F6CDD1D
	x ^= x >> 31
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 29
	return x
}

// period is after how many elements the inputs repeat: a prime, so that no block or chunk is a
// multiple of it.
const period = 4099

// inputs are small whole numbers that every type holds exactly, and so are all partial results.
type inputs struct {
	of   [][]int // [rank][element modulo period]
	want []int   // their reduction
}

// at is element i of rank's input.
func (in *inputs) at(rank, i int) int { return in.of[rank][i%period] }

type inputsKey struct {
	typ  tensor.Type
	op   string
	size int
}

var (
	inputsMu    sync.Mutex
	inputsCache = map[inputsKey]*inputs{}
)

// inputsOf makes the inputs of a variant, and the result of its reduction in whole numbers.
func inputsOf(v variant) *inputs {
	inputsMu.Lock()
	defer inputsMu.Unlock()
	key := inputsKey{v.typ, v.op, v.size}
	in := inputsCache[key]
	if in != nil {
		return in
	}
	in = &inputs{want: make([]int, period)}
	for r := range v.size {
		in.of = append(in.of, make([]int, period))
		for i := range period {
			in.of[r][i] = input(v, r, i)
		}
	}
	for i := range period {
		column := make([]int, v.size)
		for r := range column {
			column[r] = in.of[r][i]
		}
		in.want[i] = reduced(v.op, column)
	}
	inputsCache[key] = in
	return in
}

func input(v variant, rank, i int) int {
	lo, hi := exact[v.typ][0], exact[v.typ][1]
	h := mix(rank, i)
	sign := 1
	if lo < 0 && h>>40%2 == 1 {
		sign = -1
	}
	switch v.op {
	case "sum", "user":
		return sign * int(h%8)
	case "avg":
		return sign * int(h%6) * v.size
	case "prod":
		f := sign
		for p := range 3 {
			if mix(i, p)%uint64(v.size) == uint64(rank) {
				f *= 2
			}
		}
		return f
	}
	return lo + int(h%uint64(hi-lo+1))
}

// reduced is the reference: plain loops over all ranks' elements.
func reduced(op string, all []int) int {
	acc := 0
	switch op {
	case "sum", "avg":
		for _, x := range all {
			acc += x
		}
		if op == "avg" {
			acc /= len(all)
		}
	case "user": // a + b + 1: it also counts how often it is applied
		acc = len(all) - 1
		for _, x := range all {
			acc += x
		}
	case "prod":
		acc = 1
		for _, x := range all {
			acc *= x
		}
	case "min":
		return slices.Min(all)
	case "max":
		return slices.Max(all)
	}
	return acc
}

// exact bounds whole numbers that a type holds exactly.
var exact = map[tensor.Type][2]int{
	tensor.F64: {-1 << 20, 1 << 20}, tensor.F32: {-1 << 20, 1 << 20}, tensor.F16: {-2048, 2048},
	tensor.BF16: {-256, 256}, tensor.I8: {-128, 127}, tensor.U8: {0, 255},
	tensor.I32: {-1 << 20, 1 << 20}, tensor.I64: {-1 << 40, 1 << 40}, tensor.U64: {0, 1 << 50},
}

// kind is what the tests know of an element type.
type kind struct {
	ops []string
	run func(*session, variant) error
}

var kinds = map[tensor.Type]kind{
	tensor.F64:  kindOf(func(i int) float64 { return float64(i) }, plus[float64]),
	tensor.F32:  kindOf(func(i int) float32 { return float32(i) }, plus[float32]),
	tensor.F16:  kindOf(float16, plusFloat16),
	tensor.BF16: kindOf(bfloat16, plusBFloat16),
	tensor.I8:   kindOf(func(i int) int8 { return int8(i) }, plus[int8]),
	tensor.U8:   kindOf(func(i int) uint8 { return uint8(i) }, plus[uint8]),
	tensor.I32:  kindOf(func(i int) int32 { return int32(i) }, plus[int32]),
	tensor.I64:  kindOf(func(i int) int64 { return int64(i) }, plus[int64]),
	tensor.U64:  kindOf(func(i int) uint64 { return uint64(i) }, plus[uint64]),
}

func kindOf[T tensor.Element](convert func(int) T, plus func(a, b T) T) kind {
	k := kind{ops: []string{"sum", "prod", "min", "max", "user"}}
	if tensor.Avg.Supports(tensor.TypeOf[T]()) == nil {
		k.ops = append(k.ops, "avg")
	}
	user := tensor.Func("a+b+1", func(dst, a, b []T) {
		for i := range dst {
			dst[i] = plus(a[i], b[i])
		}
	})
	k.run = func(s *session, v variant) error {
		op := user
		if v.op != "user" && v.op != "" {
			var err error
			if op, err = tensor.ParseOp(v.op); err != nil {
				return err
			}
		}
		return runVariant(s, v, op, convert)
	}
	return k
}

func plus[T float64 | float32 | int8 | uint8 | int32 | int64 | uint64](a, b T) T {
	return a + b + 1
}

func float16(i int) tensor.Float16   { return tensor.ToFloat16(float32(i)) }
func bfloat16(i int) tensor.BFloat16 { return tensor.ToBFloat16(float32(i)) }

func plusFloat16(a, b tensor.Float16) tensor.Float16 {
	return tensor.ToFloat16(a.Float32() + b.Float32() + 1)
}

func plusBFloat16(a, b tensor.BFloat16) tensor.BFloat16 {
	return tensor.ToBFloat16(a.Float32() + b.Float32() + 1)
}
