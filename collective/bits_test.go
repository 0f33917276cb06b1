package collective

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// inexact is element k of rank's input: numbers of many magnitudes, whose sum depends on the order.
func inexact(rank, k int) float64 {
	h := mix(rank, k)
	return float64(int64(h)) / float64(uint64(1)<<(52+h%12))
}

// sums makes an all-reduce of vectors that hold the elements which numbers lists, and returns what
// each rank gets, in bytes.
func sums[T tensor.Element](
	comms []*Comm, numbers []int, op tensor.Op, convert func(float64) T,
) ([][]byte, error) {
	out := make([][]byte, len(comms))
	err := together(comms, func(c *Comm) error {
		buf := make([]T, len(numbers))
		for i, k := range numbers {
			buf[i] = convert(inexact(c.Rank(), k))
		}
		err := AllReduce(c.e.ctx, c, buf, op)
		out[c.Rank()] = tensor.Bytes(buf)
		return err
	})
	return out, err
}

// summer is sums of a type.
type summer func(comms []*Comm, numbers []int) ([][]byte, error)

// bitTypes runs f for the types whose sums are inexact.
func bitTypes(t *testing.T, f func(t *testing.T, sum summer, size int)) {
	t.Parallel()
	t.Run("f64", func(t *testing.T) {
		f(t, func(c []*Comm, n []int) ([][]byte, error) {
			return sums(c, n, tensor.Sum, func(x float64) float64 { return x })
		}, 8)
	})
	t.Run("f32", func(t *testing.T) {
		f(t, func(c []*Comm, n []int) ([][]byte, error) {
			return sums(c, n, tensor.Avg, func(x float64) float32 { return float32(x) })
		}, 4)
	})
	t.Run("f16", func(t *testing.T) {
		f(t, func(c []*Comm, n []int) ([][]byte, error) {
			return sums(c, n, tensor.Sum, func(x float64) tensor.Float16 {
				return tensor.ToFloat16(float32(x))
			})
		}, 2)
	})
	t.Run("bf16", func(t *testing.T) {
		f(t, func(c []*Comm, n []int) ([][]byte, error) {
			return sums(c, n, tensor.Sum, func(x float64) tensor.BFloat16 {
				return tensor.ToBFloat16(float32(x))
			})
		}, 2)
	})
}

// span lists the elements from lo on.
func span(lo, n int) []int {
	k := make([]int, n)
	for i := range k {
		k[i] = lo + i
	}
	return k
}

// TestSameBits checks that all ranks get the same bits, and the same ones in every run, on every
// driver.
func TestSameBits(t *testing.T) {
	bitTypes(t, func(t *testing.T, sum summer, _ int) {
		sizes := []int{2, 3, 7}
		if testing.Short() {
			sizes = sizes[1:2]
		}
		for _, size := range sizes {
			for round := range len(schedule.Algorithms(schedule.AllReduce)) {
				for _, n := range []int{17, 5000} {
					var before []byte
					for _, g := range append(grounds, grounds[0]) {
						out, err := sum(ranks(t, matrixWorld(g, size, round)), span(0, n))
						if err != nil {
							if forced(schedule.AllReduce, round).Applies != nil && size == 2 {
								continue // it does not apply to so few
							}
							t.Fatal(err)
						}
						if before == nil {
							before = out[0]
						}
						for r, b := range out {
							if !bytes.Equal(b, before) {
								t.Errorf("%s of %d on %d ranks over %s: rank %d has other bits",
									forced(schedule.AllReduce, round).Name, n, size, g.name, r)
							}
						}
					}
				}
			}
		}
	})
}

// TestInvariantBits checks that an element's bits depend neither on its place nor on the length of
// the vector, the algorithm or the driver.
func TestInvariantBits(t *testing.T) {
	const elements = 40
	bitTypes(t, func(t *testing.T, sum summer, elem int) {
		sizes := []int{2, 3, 5, 8}
		if testing.Short() {
			sizes = sizes[2:3]
		}
		for _, size := range sizes {
			known := make([][]byte, elements) // bits of each element, wherever it has stood
			for _, force := range []string{"", "allreduce=recursive-doubling", "allreduce=butterfly"} {
				for _, g := range grounds {
					comms := ranks(t, setting{
						size: size, driver: g.driver(), opts: []Option{WithInvariantBits(), WithAlgorithms(force)},
					})
					for _, n := range []int{1, elements, 3000, 70_000} {
						numbers := span(n%7, n) // each at another place than before
						for i := range numbers {
							numbers[i] %= elements
						}
						out, err := sum(comms, numbers)
						if err != nil {
							t.Fatal(err)
						}
						if err := sameEverywhere(known, numbers, out[size-1], elem); err != nil {
							t.Fatalf("%d elements on %d ranks over %s, %q: %v", n, size, g.name, force, err)
						}
					}
				}
			}
		}
	})
}

// sameEverywhere compares elements with what is known of them.
func sameEverywhere(known [][]byte, numbers []int, out []byte, elem int) error {
	for i, k := range numbers {
		b := out[i*elem : (i+1)*elem]
		if known[k] == nil {
			known[k] = b
		}
		if !bytes.Equal(known[k], b) {
			return fmt.Errorf("element %d at place %d is % x, elsewhere % x", k, i, b, known[k])
		}
	}
	return nil
}

// Algorithms whose bits are not invariant are refused where those are asked for.
func TestInvariantBitsRefuses(t *testing.T) {
	for _, a := range schedule.Algorithms(schedule.AllReduce) {
		comms := ranks(t, setting{
			size: 1, opts: []Option{WithInvariantBits(), WithAlgorithms("allreduce=" + a.Name)},
		})
		err := AllReduce(t.Context(), comms[0], []float32{1}, tensor.Sum)
		applies := a.Applies == nil || a.Applies(schedule.Args{Size: 1}) == nil
		if (err == nil) != (a.Canonical && applies) {
			t.Errorf("%s, canonical %t: %v", a.Name, a.Canonical, err)
		}
	}
}
