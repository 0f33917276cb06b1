package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tutti-ml/tutti/collective"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// errNothingToExplain refuses operations that no algorithm is chosen for.
var errNothingToExplain = errors.New("-explain: sendrecv has no choice of algorithms")

// accuracy is one line of -explain: what the communicator predicts for a call, and what it takes.
type accuracy struct {
	Op          string  `json:"op"`
	DType       string  `json:"dtype"`
	Driver      string  `json:"driver"`
	Algo        string  `json:"algo"`
	ChunkBytes  int     `json:"chunk"`
	NP          int     `json:"np"`
	Bytes       int     `json:"bytes"`
	PredictedUS float64 `json:"predicted_us"`
	MeasuredUS  float64 `json:"measured_us"`
	LatencyUS   float64 `json:"latency_us"`
	PathUS      float64 `json:"path_us"`
	HostUS      float64 `json:"host_us"`
}

// withinTwo reports whether prediction and measurement differ by a factor of 2 at most.
func (a *accuracy) withinTwo() bool {
	return a.PredictedUS <= 2*a.MeasuredUS && a.MeasuredUS <= 2*a.PredictedUS
}

// explainAll compares predictions with measurements, a line for each trial, and says at the end how
// often they agree.
func (s *session) explainAll(ctx context.Context, trials []trial, out io.Writer) error {
	lines, near := 0, 0
	for _, t := range trials {
		if t.op.collective == schedule.SendRecv {
			continue
		}
		var a *accuracy
		err := s.within(ctx, func(ctx context.Context) (err error) {
			a, err = s.accuracy(ctx, t)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s of %d bytes of %s: %w", t.op.name, t.bytes(), t.typeName(), err)
		}
		lines++
		if a.withinTwo() {
			near++
		}
		if s.out == nil {
			continue
		}
		if err := a.print(out, s.o.format, lines == 1); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
	}
	if s.out == nil || s.o.format == "json" {
		return nil
	}
	if lines == 0 {
		return errNothingToExplain
	}
	_, err := fmt.Fprintf(out, "#\n# within a factor of 2: %d of %d (%d %%)\n", near, lines,
		100*near/lines)
	return err
}

func (a *accuracy) print(out io.Writer, format string, first bool) error {
	if format == "json" {
		return json.NewEncoder(out).Encode(a)
	}
	if first {
		const titles = "#%14s %8s %10s %22s %9s %10s %10s %6s %10s %10s %10s\n"
		_, err := fmt.Fprintf(out, titles+titles, "op", "type", "size", "algo", "chunk", "predicted",
			"measured", "ratio", "latency", "path", "host", "", "", "(B)", "", "(B)", "(us)", "(us)", "",
			"(us)", "(us)", "(us)")
		if err != nil {
			return err
		}
	}
	const columns = " %14s %8s %10d %22s %9d %10s %10s %6.2f %10s %10s %10s\n"
	_, err := fmt.Fprintf(out, columns, a.Op, a.DType, a.Bytes, a.Algo, a.ChunkBytes,
		duration(a.PredictedUS), duration(a.MeasuredUS), a.PredictedUS/a.MeasuredUS, duration(a.LatencyUS), duration(a.PathUS), duration(a.HostUS))
	return err
}

// accuracy predicts and measures one trial.
func (s *session) accuracy(ctx context.Context, t trial) (*accuracy, error) {
	chosen, err := s.predicted(t.op.collective, t.typ, t.count)
	if err != nil {
		return nil, err
	}
	b := bind(s.c, t, s.a, s.b)
	b.fill(0)
	call, seconds := b.call, chosen.Seconds
	if t.op.rooted() {
		back, more, err := s.wayBack(t)
		if err != nil {
			return nil, err
		}
		there := call
		call = func(ctx context.Context) error { return errors.Join(there(ctx), back(ctx)) }
		seconds += more
	}
	send, _ := t.lengths()
	took, err := s.typical(ctx, call, s.a[:send*t.typ.Size()])
	if err != nil {
		return nil, err
	}
	const us = 1e6
	return &accuracy{
		Op: t.op.name, DType: t.typeName(), Driver: s.driver, Algo: chosen.Algorithm.Name,
		NP: t.size, ChunkBytes: chosen.ChunkBytes, Bytes: t.bytes(), PredictedUS: us * seconds,
		MeasuredUS: microseconds(took), LatencyUS: us * chosen.Latency, PathUS: us * chosen.Path,
		HostUS: us * chosen.Host,
	}, nil
}

// predicted is what the communicator takes for a call.
func (s *session) predicted(
	coll schedule.Collective, typ tensor.Type, count int,
) (*collective.Choice, error) {
	x, err := s.c.Explain(coll, typ, count)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(x.Choices, func(c collective.Choice) bool {
		return c.Algorithm.Name == x.Chosen
	})
	return &x.Choices[at], nil
}

// wayBack is the smallest call in the other direction, and what is predicted of it. Calls of other
// collectives wait for each other in a loop, but roots of a broadcast run ahead, and those who send
// to a root do. So a rooted call is measured together with its way back.
func (s *session) wayBack(t trial) (func(context.Context) error, float64, error) {
	token := make([]int64, 1)
	coll := schedule.Broadcast
	call := func(ctx context.Context) error {
		return collective.Broadcast(ctx, s.c, token, t.root)
	}
	if t.op.collective == schedule.Broadcast || t.op.collective == schedule.Scatter {
		coll = schedule.Reduce
		call = func(ctx context.Context) error {
			return collective.Reduce(ctx, s.c, token, token, tensor.Max, t.root)
		}
	}
	chosen, err := s.predicted(coll, tensor.I64, 1)
	if err != nil {
		return nil, 0, err
	}
	return call, chosen.Seconds, nil
}

// typical returns what a call usually takes, on the rank where that is longest: the median of the
// means of some batches. In single calls ranks overtake each other: one waits twice, the next not
// at all. Before each call a rank changes what it sends, as a program does, for else its peers find it
// in their caches; the clock stands still meanwhile.
func (s *session) typical(
	ctx context.Context, call func(context.Context) error, sent []byte,
) (time.Duration, error) {
	n := s.o.iterations
	if n == 0 {
		// Ranks learn how to wait, and links touch their memory, for as long as is measured then.
		for range 2 {
			each, err := mean(ctx, call, sent, max(n/2, warmupStart))
			if err != nil {
				return 0, err
			}
			longest := []float64{each}
			if err := collective.AllReduce(ctx, s.c, longest, tensor.Max); err != nil {
				return 0, err
			}
			n = int(max(minIterations, min(float64(s.o.target)/max(1, longest[0]), typicalCalls)))
		}
	}
	batch := max(1, n/typicalBatches)
	samples := make([]float64, n/batch)
	for i := range samples {
		var err error
		if samples[i], err = mean(ctx, call, sent, batch); err != nil {
			return 0, err
		}
	}
	slices.Sort(samples)
	took := []float64{samples[len(samples)/2]}
	err := collective.AllReduce(ctx, s.c, took, tensor.Max)
	return time.Duration(took[0]), err
}

// mean is the mean time of n calls on this rank, in nanoseconds. Before each it changes every line
// of the cache that is sent.
func mean(
	ctx context.Context, call func(context.Context) error, sent []byte, n int,
) (float64, error) {
	var took time.Duration
	for range n {
		for i := 0; i < len(sent); i += cacheLine {
			sent[i]++
		}
		start := time.Now()
		if err := call(ctx); err != nil {
			return 0, err
		}
		took += time.Since(start)
	}
	return float64(took) / float64(n), nil
}

// cacheLine is how far apart the bytes are of which changing one makes all caches read anew.
const cacheLine = 64

// Bounds of the calls that -explain makes of a trial, and in how many batches it makes them.
const (
	typicalCalls   = 1000
	typicalBatches = 11
)
