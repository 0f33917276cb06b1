package collective

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
)

var wireTypes = []tensor.Type{tensor.BF16, tensor.F16}

// wireGrounds are those that move frames in ways of their own.
func wireGrounds() []ground {
	if testing.Short() {
		return grounds[:min(2, len(grounds))]
	}
	return grounds
}

// unitRoundoff is the largest relative error of rounding a number to a type, and halfLeast the largest
// absolute one where that is more.
func unitRoundoff(t tensor.Type) (unitRoundoff, halfLeast float64) {
	if t == tensor.BF16 {
		return 0x1p-8, 0x1p-134
	}
	return 0x1p-11, 0x1p-25
}

// mostRoundings is what the package documentation says: the most roundings on the way of a
// contribution to the result. The tests of package schedule count them.
func mostRoundings(algorithm string, size int) int {
	switch l := topology.CeilLog2(size); algorithm {
	case "ring", "chain", "hierarchical":
		return size
	default:
		return l + 2
	}
}

// wireBound is the error bound of the package documentation for contributions to a sum.
func wireBound(t tensor.Type, algorithm string, contributions []float64) float64 {
	size := len(contributions)
	u, least := unitRoundoff(t)
	grow := math.Pow(1+u, float64(mostRoundings(algorithm, size))) * math.Pow(1+0x1p-24, float64(size))
	sum := 0.0
	for _, x := range contributions {
		sum += math.Abs(x)
	}
	return (grow-1)*sum + 2*float64(size)*least*grow
}

// reduceAll makes an all-reduce of the ranks' inputs, in place or not, and returns all results. Inputs
// of calls out of place must stay as they are.
func reduceAll(comms []*Comm, inputs [][]float32, op tensor.Op, inPlace bool) ([][]float32, error) {
	out := make([][]float32, len(comms))
	err := together(comms, func(c *Comm) error {
		in := slices.Clone(inputs[c.Rank()])
		out[c.Rank()] = in
		if !inPlace {
			out[c.Rank()] = make([]float32, len(in))
		}
		if err := AllReduceInto(c.e.ctx, c, out[c.Rank()], in, op); err != nil {
			return err
		}
		if !inPlace && !bytes.Equal(tensor.Bytes(in), tensor.Bytes(inputs[c.Rank()])) {
			return errors.New("the input has changed")
		}
		return nil
	})
	return out, err
}

// checkWire holds results to the promises: the same bits everywhere, numbers of the wire's type, and
// the error bound.
func checkWire(t tensor.Type, algorithm string, inputs, outputs [][]float32, op tensor.Op) error {
	size := len(inputs)
	rounded := make([]float32, len(outputs[0]))
	tensor.Round(t, tensor.Bytes(rounded), tensor.Bytes(outputs[0]))
	if !bytes.Equal(tensor.Bytes(rounded), tensor.Bytes(outputs[0])) {
		return fmt.Errorf("results are no numbers of %v", t)
	}
	contributions := make([]float64, size)
	for i, got := range outputs[0] {
		for r := range inputs {
			if math.Float32bits(outputs[r][i]) != math.Float32bits(got) {
				return fmt.Errorf("element %d is %g on rank %d and %g on rank 0", i, outputs[r][i], r, got)
			}
			contributions[r] = float64(inputs[r][i])
		}
		want, bound := 0.0, 0.0
		switch op {
		case tensor.Min, tensor.Max:
			want = slices.Min(contributions)
			if op == tensor.Max {
				want = slices.Max(contributions)
			}
			x := []float32{float32(want)}
			tensor.Round(t, tensor.Bytes(x), tensor.Bytes(x))
			want = float64(x[0])
		default:
			for _, x := range contributions {
				want += x
			}
			bound = wireBound(t, algorithm, contributions)
			if op == tensor.Avg {
				want, bound = want/float64(size), bound/float64(size)
			}
		}
		if d := math.Abs(float64(got) - want); !(d <= bound*(1+0x1p-20)) {
			return fmt.Errorf("%v of element %d is %g, want %g: off by %g, allowed %g", op, i, got, want, d, bound)
		}
	}
	return nil
}

// wireInputs are numbers of many magnitudes.
func wireInputs(size, n int) [][]float32 {
	in := make([][]float32, size)
	for r := range in {
		in[r] = make([]float32, n)
		for k := range in[r] {
			in[r][k] = float32(inexact(r, k))
		}
	}
	return in
}

// TestWire makes all-reduces with every algorithm on every ground, with vectors shorter than the
// ranks are many, odd ones, and some that end at, before and behind the end of a chunk.
func TestWire(t *testing.T) {
	const chunk = 4096
	counts := []int{0, 1, 3, 17, chunk / 4, chunk/4 + 1, 9001}
	sizes := []int{2, 3, 4, 5, 6, 7, 8}
	if testing.Short() {
		sizes = []int{2, 5}
	}
	ops := []tensor.Op{tensor.Sum, tensor.Avg, tensor.Min, tensor.Max}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size, " ranks"), func(t *testing.T) {
			t.Parallel()
			for round, alg := range schedule.Algorithms(schedule.AllReduce) {
				var before [][]float32 // results of the first ground
				for _, g := range wireGrounds() {
					s := matrixWorld(g, size, round)
					typ := wireTypes[(size+round)%2]
					s.opts = append(s.opts, WithChunkBytes(chunk), WithWire(typ))
					if alg.Applies != nil && alg.Applies(schedule.Args{Size: size, Hosts: s.hosts}) != nil {
						continue
					}
					comms := ranks(t, s)
					for i, n := range counts {
						op := ops[(i+size)%len(ops)]
						in := wireInputs(size, n)
						out, err := reduceAll(comms, in, op, i%2 == 0)
						if err == nil {
							err = checkWire(typ, alg.Name, in, out, op)
						}
						if err != nil {
							t.Fatalf("%s of %d over %s, sent as %v: %v", alg.Name, n, g.name, typ, err)
						}
						if len(before) <= i {
							before = append(before, out[0])
						} else if !bytes.Equal(tensor.Bytes(before[i]), tensor.Bytes(out[0])) {
							t.Fatalf("%s of %d: other bits over %s", alg.Name, n, g.name)
						}
					}
				}
			}
		})
	}
}

// TestWireErrorBound draws contributions of any finite kind.
func TestWireErrorBound(t *testing.T) {
	sizes := []int{2, 3, 4, 6, 7}
	for _, typ := range wireTypes {
		t.Run(typ.String(), func(t *testing.T) {
			worlds := map[string][]*Comm{}
			rapid.Check(t, func(r *rapid.T) {
				size := rapid.SampledFrom(sizes).Draw(r, "size")
				round := rapid.IntRange(0, 4).Draw(r, "algorithm")
				alg := forced(schedule.AllReduce, round)
				key := fmt.Sprint(size, alg.Name)
				if worlds[key] == nil {
					worlds[key] = ranks(t, setting{size: size, opts: []Option{
						WithAlgorithms("allreduce=" + alg.Name), WithWire(typ),
					}})
				}
				// Sums stay within the type: rounding to infinity has no bound.
				most := 60000 / float64(size)
				if typ == tensor.BF16 {
					most = 1e38 / float64(size)
				}
				in := make([][]float32, size)
				n := rapid.IntRange(1, 40).Draw(r, "elements")
				for k := range in {
					in[k] = make([]float32, n)
					for i := range in[k] {
						scale := math.Pow(most, rapid.Float64Range(-2, 1).Draw(r, "exponent"))
						in[k][i] = float32(scale * rapid.Float64Range(-1, 1).Draw(r, "number"))
					}
				}
				op := rapid.SampledFrom([]tensor.Op{tensor.Sum, tensor.Avg, tensor.Min, tensor.Max}).Draw(r, "op")
				out, err := reduceAll(worlds[key], in, op, rapid.Bool().Draw(r, "in place"))
				if err == nil {
					err = checkWire(typ, alg.Name, in, out, op)
				}
				if err != nil {
					r.Fatalf("%s on %d ranks: %v", alg.Name, size, err)
				}
			})
		})
	}
}

// TestWireInvariantBits compares with an all-reduce of vectors of the wire's type, which rounds the
// same numbers: with invariant bits nothing else may matter, neither algorithm, nor length, nor place.
func TestWireInvariantBits(t *testing.T) {
	for _, size := range []int{2, 3, 4, 7} {
		for _, force := range []string{"", "allreduce=recursive-doubling", "allreduce=butterfly"} {
			comms := ranks(t, setting{size: size, opts: []Option{
				WithInvariantBits(), WithWire(tensor.BF16), WithAlgorithms(force), WithChunkBytes(4096),
			}})
			for _, n := range []int{1, 40, 3000} {
				for _, inPlace := range []bool{false, true} {
					in := wireInputs(size, n)
					got, err := reduceAll(comms, in, tensor.Sum, inPlace)
					if err != nil {
						t.Fatal(err)
					}
					want, err := sums(comms, span(0, n), tensor.Sum, func(x float64) tensor.BFloat16 {
						return tensor.ToBFloat16(float32(x))
					})
					if err != nil {
						t.Fatal(err)
					}
					narrow := tensor.AllocBytes(2 * n)
					tensor.Narrow(tensor.BF16, narrow, tensor.Bytes(got[size-1]))
					if !bytes.Equal(narrow, want[0]) {
						t.Errorf("%d on %d ranks, %q, in place %t: other bits than of bf16", n, size, force, inPlace)
					}
					if err := checkWire(tensor.BF16, "", in, got, tensor.Sum); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
}

// TestWireReduces covers the other reductions, whose results are no more than their own ranks'.
func TestWireReduces(t *testing.T) {
	const size, n = 4, 1500
	in := wireInputs(size, n*size)
	for _, c := range []schedule.Collective{schedule.Reduce, schedule.ReduceScatter} {
		for _, alg := range schedule.Algorithms(c) {
			if alg.Applies != nil && alg.Applies(schedule.Args{Size: size}) != nil {
				continue
			}
			comms := ranks(t, setting{size: size, opts: []Option{
				WithWire(tensor.F16), WithAlgorithms(fmt.Sprintf("%v=%s", c, alg.Name)), WithChunkBytes(4096),
			}})
			out := make([]float32, n*size)
			err := together(comms, func(c *Comm) error {
				r := c.Rank()
				if alg.Collective == schedule.Reduce {
					return Reduce(c.e.ctx, c, out, slices.Clone(in[r]), tensor.Sum, 2)
				}
				return ReduceScatter(c.e.ctx, c, out[r*n:(r+1)*n], slices.Clone(in[r]), tensor.Sum)
			})
			if err == nil {
				err = checkWire(tensor.F16, alg.Name, in, [][]float32{out, out, out, out}, tensor.Sum)
			}
			if err != nil {
				t.Errorf("%v %s: %v", c, alg.Name, err)
			}
		}
	}
}

func TestWireSpecialNumbers(t *testing.T) {
	inf, nan := float32(math.Inf(1)), math.Float32frombits(0xFFC12345)
	for _, c := range []struct {
		typ        tensor.Type
		a, b, want float32
	}{
		{tensor.BF16, nan, 1, nan},
		{tensor.F16, 1, nan, nan},
		{tensor.BF16, inf, -inf, nan},
		{tensor.F16, inf, 1, inf},
		{tensor.F16, 65504, 0, 65504},
		{tensor.F16, 65504, 65504, inf}, // what float32 could hold, the wire can't
		{tensor.F16, -1e6, -1e6, -inf},
		{tensor.BF16, 1e6, 1e6, 1998848},
		{tensor.BF16, math.MaxFloat32, 0, inf},
		{tensor.F16, 1e-9, 1e-9, 0},
	} {
		for round := range 3 {
			comms := ranks(t, setting{size: 2, opts: []Option{
				WithWire(c.typ), WithAlgorithms("allreduce=" + forced(schedule.AllReduce, round).Name),
			}})
			out, err := reduceAll(comms, [][]float32{{c.a}, {c.b}}, tensor.Sum, round == 1)
			if err != nil {
				t.Fatal(err)
			}
			for r, got := range out {
				if got[0] != c.want && (got[0] == got[0] || c.want == c.want) {
					t.Errorf("%v + %v sent as %v: rank %d has %v, want %v", c.a, c.b, c.typ, r, got[0], c.want)
				}
				if got[0] != got[0] && math.Float32bits(got[0]) != 0x7FC00000 {
					t.Errorf("NaN of bits %#x", math.Float32bits(got[0]))
				}
			}
		}
	}
}
