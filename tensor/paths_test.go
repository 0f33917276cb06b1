package tensor

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// path is one way through the machine, by name.
type path struct {
	name    string
	kernels *kernels
}

// paths returns the path that this machine chooses and the plain loops, which every other must
// agree with.
func paths() []path { return append([]path{{"asm", fastest()}, {"go", loops()}}, lesserPaths...) }

// lesserPaths are those of lesser processors of this architecture.
var lesserPaths []path

// eachPath runs f once with each path active.
func eachPath(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	for _, p := range paths() {
		t.Run(p.name, func(t *testing.T) {
			defer use(p.kernels)()
			f(t)
		})
	}
}

// put and get move the bits of one element; tests handle every type as bits.
func put(t Type, b []byte, i int, bits uint64) {
	b = b[i*t.Size():]
	switch t.Size() {
	case 1:
		b[0] = byte(bits)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(bits))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(bits))
	default:
		binary.NativeEndian.PutUint64(b, bits)
	}
}

func get(t Type, b []byte, i int) uint64 {
	b = b[i*t.Size():]
	switch t.Size() {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	default:
		return binary.NativeEndian.Uint64(b)
	}
}

// format is a floating-point type as IEEE 754 describes it.
type format struct{ exponent, fraction int }

var formats = map[Type]format{F64: {11, 52}, F32: {8, 23}, F16: {5, 10}, BF16: {8, 7}}

func (f format) sign() uint64 { return 1 << (f.exponent + f.fraction) }
func (f format) inf() uint64  { return (1<<f.exponent - 1) << f.fraction }
func (f format) nan() uint64  { return f.inf() | 1<<(f.fraction-1) }

// value returns the number that the bits stand for; exact for all four formats.
func (f format) value(bits uint64) float64 {
	magnitude := bits &^ f.sign()
	exponent, fraction := int(magnitude>>f.fraction), magnitude&(1<<f.fraction-1)
	bias := 1<<(f.exponent-1) - 1
	var v float64
	switch {
	case exponent == 1<<f.exponent-1 && fraction != 0:
		return math.NaN()
	case exponent == 1<<f.exponent-1:
		v = math.Inf(1)
	case exponent == 0:
		v = math.Ldexp(float64(fraction), 1-bias-f.fraction)
	default:
		v = math.Ldexp(float64(fraction|1<<f.fraction), exponent-bias-f.fraction)
	}
	if bits&f.sign() != 0 {
		v = -v
	}
	return v
}

// specials returns the bits at which a kernel may go wrong: for a floating-point type zeros, the
// ends of the subnormals and of the normals, ones, infinities, quiet and signalling NaNs with
// payloads and both signs; for an integer the ends of both readings and of its halves.
func specials(t Type) []uint64 {
	var out []uint64
	if f, ok := formats[t]; ok {
		one := f.inf() >> 1 &^ (1<<f.fraction - 1)
		for _, m := range []uint64{
			0, 1, 2, 3, 1<<f.fraction - 1, 1 << f.fraction, 1<<f.fraction + 1, 2<<f.fraction - 1,
			one - 1, one, one + 1, one + 2, one | 1<<(f.fraction-1), one + 1<<f.fraction,
			one - uint64(f.fraction+1)<<f.fraction, one + uint64(f.fraction+1)<<f.fraction,
			f.inf() - 1<<f.fraction, f.inf() - 2, f.inf() - 1, f.inf(),
			f.inf() + 1, f.nan() - 1, f.nan(), f.nan() + 1, f.sign() - 1,
		} {
			out = append(out, m, m|f.sign())
		}
		return out
	}
	bits := 8 * t.Size()
	mask := uint64(math.MaxUint64) >> (64 - bits)
	for _, base := range []uint64{
		0, 1 << (bits / 2), 1 << (bits - 1), 1 << (bits/2 - 1), 0x5555555555555555,
	} {
		for _, d := range []uint64{0, 1, 2, 3, 10} {
			out = append(out, (base+d)&mask, (base-d)&mask)
		}
	}
	return out
}

// filled returns n elements, a third of them special, the others of random bits.
func filled(t Type, rng *rand.Rand, n int) []byte {
	b := AllocBytes(n * t.Size())
	fill(t, rng, b)
	return b
}

func fill(t Type, rng *rand.Rand, b []byte) {
	values := specials(t)
	for i := range len(b) / t.Size() {
		bits := rng.Uint64()
		if rng.IntN(3) == 0 {
			bits = values[rng.IntN(len(values))]
		}
		put(t, b, i, bits)
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
