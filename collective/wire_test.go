package collective

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
	"github.com/tutti-ml/tutti/transport"
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

// counted is a driver that counts the payload of the frames of calls that all ranks send.
type counted struct {
	transport.Driver
	bytes *atomic.Int64
}

type countedEndpoint struct {
	transport.Endpoint
	bytes *atomic.Int64
}

type countedLink struct {
	transport.Link
	bytes *atomic.Int64
}

func (d counted) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	ep, err := d.Driver.Open(ctx, c)
	return countedEndpoint{ep, d.bytes}, err
}

func (e countedEndpoint) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, addresses)
	if err != nil {
		return nil, err
	}
	return countedLink{l, e.bytes}, nil
}

func (e countedEndpoint) Accept() transport.Link {
	if l := e.Endpoint.Accept(); l != nil {
		return countedLink{l, e.bytes}
	}
	return nil
}

func (l countedLink) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	ok, err := l.Link.Send(h, pieces)
	if ok && h.Kind == transport.Data {
		l.bytes.Add(int64(h.Length))
	}
	return ok, err
}

// TestWireBytes counts what goes over the links: half where WithWire says so, all of it elsewhere.
func TestWireBytes(t *testing.T) {
	const size, n = 4, 1 << 16
	for _, c := range []struct {
		name string
		want int64 // bytes with and without WithWire(BF16), of 64
		call func(ctx context.Context, c *Comm) error
	}{
		{"sum", 32, func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n), tensor.Sum)
		}},
		{"max of an odd count", 32, func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n+3), tensor.Max)
		}},
		{"reduce", 32, func(ctx context.Context, c *Comm) error {
			return Reduce(ctx, c, make([]float32, n), make([]float32, n), tensor.Avg, 1)
		}},
		{"reduce-scatter", 32, func(ctx context.Context, c *Comm) error {
			return ReduceScatter(ctx, c, make([]float32, n/size), make([]float32, n), tensor.Sum)
		}},
		{"product", 64, func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float32, n), tensor.Prod)
		}},
		{"f64", 64, func(ctx context.Context, c *Comm) error {
			return AllReduce(ctx, c, make([]float64, n), tensor.Sum)
		}},
		{"broadcast", 64, func(ctx context.Context, c *Comm) error {
			return Broadcast(ctx, c, make([]float32, n), 0)
		}},
		{"all-gather", 64, func(ctx context.Context, c *Comm) error {
			return AllGather(ctx, c, make([]float32, n*size), make([]float32, n))
		}},
	} {
		var sent [2]int64
		for i, opts := range [][]Option{nil, {WithWire(tensor.BF16)}} {
			var bytes atomic.Int64
			// One algorithm of each, as the cost of rounding may make another one faster.
			opts = append(opts, WithAlgorithms("allreduce=ring,reduce=binomial,reducescatter=ring"))
			comms := ranks(t, setting{size: size, driver: counted{grounds[0].driver(), &bytes}, opts: opts})
			if err := together(comms, func(r *Comm) error { return c.call(r.e.ctx, r) }); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			sent[i] = bytes.Load()
		}
		if sent[0] == 0 || sent[1]*64 != sent[0]*c.want {
			t.Errorf("%s: %d bytes sent, with WithWire %d: want %d/64 of it", c.name, sent[0], sent[1], c.want)
		}
	}
}

// TestWireExact: what WithWire leaves alone is exact.
func TestWireExact(t *testing.T) {
	comms := ranks(t, setting{size: 2, opts: []Option{WithWire(tensor.BF16)}})
	const third = float32(1) / 3
	err := together(comms, func(c *Comm) error {
		params, one := []float32{third}, []float32{third}
		if c.Rank() == 1 {
			params[0] = 0
		}
		double := func(dst, a, b []float32) {
			for i := range dst {
				dst[i] = a[i] + b[i]
			}
		}
		err := errors.Join(
			Broadcast(c.e.ctx, c, params, 0), AllReduce(c.e.ctx, c, one, tensor.Func("add", double)))
		if params[0] != third || one[0] != 2*third {
			err = errors.Join(err, fmt.Errorf("%v and %v", params, one))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	alone := ranks(t, setting{size: 1, opts: []Option{WithWire(tensor.BF16)}})
	x := []float32{third}
	if err := AllReduce(t.Context(), alone[0], x, tensor.Avg); err != nil || x[0] != third {
		t.Errorf("alone: %v, %v", x, err)
	}
}

// TestWireMismatch: ranks that disagree about the wire hear of it.
func TestWireMismatch(t *testing.T) {
	for _, n := range []int{1, 100_000} {
		for _, other := range []tensor.Type{tensor.F16, tensor.F32} {
			comms := ranks(t, setting{size: 3, rank: func(r int) []Option {
				if r == 1 {
					return []Option{WithWire(other)}
				}
				return []Option{WithWire(tensor.BF16)}
			}})
			for r, err := range outcomes(comms, func(c *Comm) error {
				return AllReduce(c.e.ctx, c, make([]float32, n), tensor.Sum)
			}) {
				var m *MismatchError
				if !errors.As(err, &m) {
					t.Errorf("%d elements, rank %d: %v, want a mismatch", n, r, err)
				} else if !strings.Contains(m.Error(), "types on the wire") || !strings.Contains(m.Error(), "sent as bf16") {
					t.Errorf("rank %d: %v: does not tell what differs", r, err)
				}
			}
		}
	}
	cfg, err := newConfig([]Option{WithWire(tensor.F16)})
	if err != nil || !strings.Contains(cfg.agreed(), "wire=f16") {
		t.Errorf("%v: ranks would not compare it when they join: %q", err, cfg.agreed())
	}
}

// TestWireSplit gives gradients a communicator of their own.
func TestWireSplit(t *testing.T) {
	comms := ranks(t, setting{size: 3})
	err := together(comms, func(c *Comm) error {
		grads, err := c.Split(c.e.ctx, 0, c.Rank(), WithWire(tensor.BF16))
		if err != nil {
			return err
		}
		exact, err := grads.Split(c.e.ctx, 0, c.Rank(), WithWire(tensor.F32))
		if err != nil {
			return err
		}
		const x = 1 + 1.0/1024
		a, b, d := []float32{x}, []float32{x}, []float32{x}
		err = errors.Join(
			AllReduce(c.e.ctx, c, a, tensor.Max), AllReduce(c.e.ctx, grads, b, tensor.Max),
			AllReduce(c.e.ctx, exact, d, tensor.Max), exact.Close(), grads.Close())
		if a[0] != x || b[0] != 1 || d[0] != x {
			err = errors.Join(err, fmt.Errorf("%v, %v and %v", a, b, d))
		}
		_, bad := c.Split(c.e.ctx, 0, 0, WithListen("127.0.0.1:0"))
		if bad == nil {
			err = errors.Join(err, errors.New("Split took an option of the process"))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := newConfig([]Option{WithWire(tensor.I8)}); err == nil {
		t.Error("i8 is no type for the wire")
	}
}

// TestWireHeld sends before the other rank has made its call, so that frames are held, and in the end
// for a rank that never calls.
func TestWireHeld(t *testing.T) {
	for _, g := range wireGrounds() {
		comms := ranks(t, setting{
			size: 2, driver: g.driver(), opts: []Option{WithWire(tensor.F16), WithChecksums()},
		})
		in := wireInputs(2, 1<<20)
		var out [2][]float32
		err := together(comms, func(c *Comm) error {
			other, err := c.Split(c.e.ctx, 0, c.Rank())
			if err != nil {
				return err
			}
			out[c.Rank()] = slices.Clone(in[c.Rank()])
			var work *Work
			if c.Rank() == 0 {
				work = AllReduceAsync(c.e.ctx, c, out[0], tensor.Sum)
			}
			for range 20 {
				err = errors.Join(err, Barrier(c.e.ctx, other))
			}
			if c.Rank() == 1 {
				work = AllReduceAsync(c.e.ctx, c, out[1], tensor.Sum)
			}
			return errors.Join(err, work.Wait(), other.Close())
		})
		if err == nil {
			err = checkWire(tensor.F16, "ring", in, out[:], tensor.Sum)
		}
		if err != nil {
			t.Errorf("%s: %v", g.name, err)
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		work := AllReduceAsync(ctx, comms[0], out[0], tensor.Sum)
		cancel()
		var cancelled *CancelledError
		if err := work.Wait(); !errors.As(err, &cancelled) {
			t.Errorf("%s: %v, want it cancelled", g.name, err)
		}
	}
}

// TestWireNoAllocations: narrowing needs memory of the engine's, but not for every call anew.
func TestWireNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED: the race detector allocates")
	}
	for _, g := range grounds {
		for _, load := range []struct{ size, bytes, runs int }{{2, 64, 100}, {3, 4 << 10, 100}, {2, 16 << 20, 5}} {
			s := setting{size: load.size, driver: g.driver(), opts: []Option{WithWire(tensor.BF16)}}
			n, err := allocations(t, s, load.runs, func(c *Comm) func(context.Context) error {
				return steadies[0].make(c, load.bytes)
			})
			if err != nil || n != 0 {
				t.Errorf("%s, %d bytes on %d ranks: %v allocations a call, %v", g.name, load.bytes, load.size, n, err)
			}
		}
	}
}

// TestWireExplain: the planner sees half the bytes, and what rounding costs.
func TestWireExplain(t *testing.T) {
	explain := func(opts ...Option) *Explanation {
		comms := ranks(t, setting{size: 4, opts: append(opts, WithAlgorithms("allreduce=ring"))})
		x, err := comms[0].Explain(schedule.AllReduce, tensor.F32, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	plain, wire := explain(), explain(WithWire(tensor.BF16))
	for _, x := range plain.Choices {
		i := slices.IndexFunc(wire.Choices, func(y Choice) bool { return y.Algorithm == x.Algorithm })
		y := wire.Choices[i]
		if x.Algorithm.Pipelined { // it may take another chunk, and so send another share beside
			continue
		}
		if x.Refused == nil && (y.Cost.Bytes*2 != x.Cost.Bytes || y.Cost.Reduced < x.Cost.Bytes) {
			t.Errorf("%s: cost %+v, with WithWire %+v", x.Algorithm.Name, x.Cost, y.Cost)
		}
	}
	if s := wire.String(); !strings.Contains(s, "1048576 f32 sent as bf16 on 4 ranks") || wire.Wire != tensor.BF16 {
		t.Errorf("%s", s)
	}
	if plain.Wire != 0 || strings.Contains(plain.String(), "sent as") {
		t.Errorf("%s", plain)
	}
}

// TestWireGradients: a sum of many small numbers of both signs, such as gradients are, comes out far
// better than the bound, and with f16 better than with bf16.
func TestWireGradients(t *testing.T) {
	const size, n = 4, 20_000
	x := rand.New(rand.NewPCG(1, 2))
	in := make([][]float32, size)
	for r := range in {
		in[r] = make([]float32, n)
		for i := range in[r] {
			in[r][i] = float32(x.NormFloat64() * 0.01)
		}
	}
	var rms [2]float64
	for k, typ := range wireTypes {
		comms := ranks(t, setting{size: size, opts: []Option{WithWire(typ)}})
		out, err := reduceAll(comms, in, tensor.Sum, true)
		if err != nil {
			t.Fatal(err)
		}
		var square, scale float64
		for i := range n {
			want := 0.0
			for r := range in {
				want += float64(in[r][i])
			}
			square += (float64(out[0][i]) - want) * (float64(out[0][i]) - want)
			scale += want * want
		}
		rms[k] = math.Sqrt(square / scale)
		if u, _ := unitRoundoff(typ); rms[k] > u {
			t.Errorf("%v: relative error %.2e of the whole, more than one rounding's %.2e", typ, rms[k], u)
		}
	}
	if rms[1]*4 > rms[0] {
		t.Errorf("f16 errs by %.2e, bf16 by %.2e: want at most a quarter", rms[1], rms[0])
	}
}
