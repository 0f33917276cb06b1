package topology_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/topology"
)

func TestCurve(t *testing.T) {
	c := topology.Curve{{Bytes: 0, Seconds: 1}, {Bytes: 10, Seconds: 2}, {Bytes: 20, Seconds: 5}}
	for _, x := range []struct{ bytes, seconds float64 }{
		{0, 1}, {5, 1.5}, {10, 2}, {15, 3.5}, {20, 5}, {40, 11},
	} {
		if got := c.Seconds(x.bytes); got != x.seconds {
			t.Errorf("%g bytes take %g s, want %g", x.bytes, got, x.seconds)
		}
	}
	if c.Alpha() != 1 || c.Beta() != 0.2 {
		t.Errorf("alpha %g, beta %g", c.Alpha(), c.Beta())
	}
	if got := (topology.Curve{{Bytes: 8, Seconds: 3}}).Seconds(100); got != 3 {
		t.Errorf("a single point gives %g", got)
	}
	if got := (topology.Curve{}).Seconds(100); got != 0 {
		t.Errorf("an empty curve gives %g", got)
	}
}

// TestLine compares a line with the model that it stands for, within and beyond its points.
func TestLine(t *testing.T) {
	l := topology.Line(2e-6, 3e-9)
	for _, n := range []float64{0, 1, 1 << 10, 1 << 20, 1 << 30} {
		if got, want := l.Seconds(n), 2e-6+3e-9*n; math.Abs(got-want) > 1e-9*want {
			t.Errorf("%g bytes take %g s, want %g", n, got, want)
		}
	}
}

// TestRising checks that what has been put in order rises, is as much in sum, and stays as it is
// where it rose already.
func TestRising(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c topology.Curve
		for i, y := range rapid.SliceOfN(rapid.IntRange(0, 20), 1, 12).Draw(t, "seconds") {
			c = append(c, topology.Point{Bytes: float64(i), Seconds: float64(y)})
		}
		sum := func(c topology.Curve) (s float64) {
			for _, p := range c {
				s += p.Seconds
			}
			return s
		}
		before, r := slices.Clone(c), c.Rising()
		if !slices.Equal(before, c) {
			t.Fatal("the curve itself has changed")
		}
		for i := 1; i < len(r); i++ {
			if r[i].Seconds < r[i-1].Seconds {
				t.Fatalf("%v falls at %d", r, i)
			}
		}
		if math.Abs(sum(r)-sum(c)) > 1e-9 {
			t.Fatalf("%v is not as much as %v", r, c)
		}
		if again := r.Rising(); !slices.Equal(again, r) {
			t.Fatalf("%v rises and becomes %v", r, again)
		}
	})
}

func TestFabricCheck(t *testing.T) {
	model := topology.Model{Alpha: 1e-6, Beta: 1e-9, Gamma: 1e-10}
	for name, spoil := range map[string]func(f *topology.Fabric){
		"negative":    func(f *topology.Fabric) { f.Gamma = -1 },
		"no number":   func(f *topology.Fabric) { f.Inner.Frame = math.NaN() },
		"infinite":    func(f *topology.Fabric) { f.Outer.Alone[1].Seconds = math.Inf(1) },
		"falls":       func(f *topology.Fabric) { f.Inner.Alone[1].Seconds = 0 },
		"goes back":   func(f *topology.Fabric) { f.Inner.Busy = topology.Curve{{Bytes: 1}, {Bytes: 1}} },
		"below zero":  func(f *topology.Fabric) { f.Outer.Busy = topology.Curve{{Bytes: -1}} },
		"call":        func(f *topology.Fabric) { f.Call = math.NaN() },
		"turn":        func(f *topology.Fabric) { f.Outer.Turn = -1 },
		"busy reduce": func(f *topology.Fabric) { f.BusyGamma = math.Inf(1) },
	} {
		f := topology.Assumed(model, model)
		if err := f.Check(); err != nil {
			t.Fatal(err)
		}
		if spoil(&f); !errors.Is(f.Check(), topology.ErrFabric) {
			t.Errorf("%s: %v", name, f.Check())
		}
	}
}

// TestLinks takes a message apart: what waits and what is work make up the curve.
func TestLinks(t *testing.T) {
	type load = topology.Load
	l := topology.Links{
		Alone: topology.Line(10, 2), Message: 4,
		Busy: topology.Line(6, 1), BusyFirst: 3, BusyMessage: 1, Turn: 9, Several: 4,
	}
	alone := topology.Links{Alone: l.Alone, Message: l.Message}
	if got := alone.Latency() + alone.Stream(load{Messages: 1, Bytes: 3}, 0); got != l.Alone.Seconds(3) {
		t.Errorf("a message takes %g, want %g", got, l.Alone.Seconds(3))
	}
	if got := l.Latency(); got != 9 {
		t.Errorf("a message of a busy host waits for %g", got)
	}
	if got := l.Stream(load{Messages: 5, Bytes: 10}, 0); got != 5*4+2*10 {
		t.Errorf("a stream takes %g", got)
	}
	for _, c := range []struct {
		load  load
		ranks float64
		most  float64
		want  float64
	}{
		{load{Messages: 2, Bytes: 6}, 2, 1, 2*3 + 6},
		{load{Messages: 1, Bytes: 6}, 2, 1, 3 + 6},
		{load{Messages: 6, Bytes: 6}, 2, 3, 2*3 + 4*1 + 4*6},
		{load{}, 2, 0, 0},
	} {
		if got := l.BusyStream(c.load, c.ranks, c.most, 0); got != c.want {
			t.Errorf("%+v of %g ranks keep the host for %g, want %g", c.load, c.ranks, got, c.want)
		}
	}
	if got := l.Stream(load{}, 0); got != 0 {
		t.Errorf("no message takes %g", got)
	}
}

// TestMemoryCounts: a short message of a call that no cache holds is as slow as a long one.
func TestMemoryCounts(t *testing.T) {
	l := topology.Links{Alone: topology.Curve{{Seconds: 1}, {Bytes: 10, Seconds: 2}, {Bytes: 20, Seconds: 11}}}
	for _, c := range []struct{ memory, want float64 }{{0, 1}, {20, 1}, {40, 5}} {
		if got := l.Stream(topology.Load{Messages: 1, Bytes: 10}, c.memory); got != c.want {
			t.Errorf("10 of %g bytes take %g, want %g", c.memory, got, c.want)
		}
	}
}

// TestSaved: what a fabric of one model saves, or does not, is in that model's times.
func TestSaved(t *testing.T) {
	cost := topology.Cost{Bytes: 100, Cached: 10, Vectors: 50, Forwarded: 20, Streamed: 30}
	for _, c := range []struct {
		name string
		m    topology.Model
		want float64
	}{
		{"nothing", topology.Model{}, 0},
		{"caches", topology.Model{Delta: 2, Caches: 49}, 20},
		{"caches that hold all", topology.Model{Delta: 2, Caches: 50}, 0},
		{"forwarding", topology.Model{Forward: 3}, 60},
		{"streams", topology.Model{Stream: 4}, -120},
		{"all", topology.Model{Delta: 2, Forward: 3, Stream: 4}, -40},
	} {
		f := topology.Assumed(c.m, c.m)
		if got := f.Saved(cost); got != c.want {
			t.Errorf("%s: a fabric saves %g, want %g", c.name, got, c.want)
		}
		if got := c.m.Seconds(cost); got != -c.want {
			t.Errorf("%s: a model takes %g, want %g", c.name, got, -c.want)
		}
	}
}
