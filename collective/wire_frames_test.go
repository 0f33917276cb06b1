package collective

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

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
