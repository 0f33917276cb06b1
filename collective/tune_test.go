package collective

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
)

// tuned tunes communicators as Connect does, with a cache of the test's.
func tuned(t *testing.T, comms []*Comm, directory string) error {
	t.Helper()
	cfg, err := newConfig([]Option{WithTuningCache(directory)})
	if err != nil {
		t.Fatal(err)
	}
	members := make([]rendezvous.Member, len(comms))
	for i, host := range comms[0].planner.hosts {
		members[i].HostID = fmt.Sprint(host)
	}
	return together(comms, func(c *Comm) error {
		return c.tune(testContext(t), "inproc", members, cfg)
	})
}

// TestTuneAgrees: all ranks find the same, whatever hosts they are on, and calls work by it. The
// second time they find it again, without measuring, as all numbers are equal.
func TestTuneAgrees(t *testing.T) {
	for _, hosts := range [][]int{
		{0, 0}, {0, 1}, {0, 0, 0, 0, 0}, {0, 1, 2}, {0, 0, 1, 1}, {0, 0, 0, 1, 2, 2},
	} {
		t.Run(fmt.Sprint(hosts), func(t *testing.T) {
			directory := t.TempDir()
			var first topology.Fabric
			for round := range 2 {
				comms := ranks(t, setting{size: len(hosts), hosts: hosts})
				if err := tuned(t, comms, directory); err != nil {
					t.Fatal(err)
				}
				s := comms[0].planner.speeds
				if round == 0 {
					first = s.fabric
				}
				if err := s.fabric.Check(); err != nil {
					t.Error(err)
				}
				for _, c := range comms {
					if !reflect.DeepEqual(c.planner.speeds, s) {
						t.Errorf("rank %d has %+v, rank 0 %+v", c.rank, c.planner.speeds, s)
					}
				}
				if round == 1 && s.source == "cache" && !reflect.DeepEqual(s.fabric, first) {
					t.Errorf("kept was %+v, found %+v", first, s.fabric)
				}
				checkSums(t, comms)
			}
		})
	}
}

// checkSums makes calls of several sizes.
func checkSums(t *testing.T, comms []*Comm) {
	t.Helper()
	err := together(comms, func(c *Comm) error {
		for _, n := range []int{1, 1000, 100_000} {
			v := make([]float32, n)
			v[n-1] = float32(c.rank)
			if err := AllReduce(testContext(t), c, v, tensor.Sum); err != nil {
				return err
			}
			if want := float32(len(comms) * (len(comms) - 1) / 2); v[n-1] != want {
				return fmt.Errorf("%d elements: sum %g, want %g", n, v[n-1], want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTuneWithoutARank: a rank that goes ends tuning on the others, with an error that says so.
func TestTuneWithoutARank(t *testing.T) {
	comms := ranks(t, setting{size: 3})
	gone := errors.New("no more")
	cfg, err := newConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = together(comms, func(c *Comm) error {
		if c.rank == 2 {
			c.Abort(gone)
			e := c.e
			e.enter()
			tuning := e.newComm(tuneComm, c.ranks, c.rank, c.planner)
			e.mu.Unlock()
			tuning.Abort(gone)
			return tuning.Close()
		}
		err := c.tune(testContext(t), "inproc", make([]rendezvous.Member, 3), cfg)
		var aborted *AbortedError
		if !errors.As(err, &aborted) || aborted.Rank != 2 {
			return fmt.Errorf("rank %d: %w", c.rank, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTuneCancelled: the end of Connect's context ends tuning where a rank never comes.
func TestTuneCancelled(t *testing.T) {
	comms := ranks(t, setting{size: 2})
	cfg, err := newConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	var cancelled *CancelledError
	err = comms[0].tune(ctx, "inproc", make([]rendezvous.Member, 2), cfg)
	if !errors.As(err, &cancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of a call given up", err)
	}
}

// TestTuneOnlyWhenAsked: Connect measures by default, and neither where speeds or a driver are
// given nor where it is told not to.
func TestTuneOnlyWhenAsked(t *testing.T) {
	driver := WithDriver(grounds[0].driver())
	given := WithFabric(topology.Fabric{})
	for _, c := range []struct {
		variable string
		opts     []Option
		want     string
	}{
		{"", nil, TuneSteady},
		{"off", nil, TuneOff},
		{"off", []Option{WithTuning(TuneOn)}, TuneOn},
		{"fresh", nil, TuneFresh},
		{"", []Option{driver}, TuneOff},
		{"", []Option{driver, WithTuning(TuneFresh)}, TuneFresh},
		{"", []Option{given}, TuneOff},
		{"on", []Option{given}, TuneOff},
	} {
		t.Setenv("TUTTI_TUNE", c.variable)
		cfg, err := newConfig(c.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.tunes(); got != c.want {
			t.Errorf("TUTTI_TUNE=%q and %d options: %s, want %s", c.variable, len(c.opts), got, c.want)
		}
	}
	t.Setenv("TUTTI_TUNE", "maybe")
	if _, err := newConfig(nil); err == nil {
		t.Error("TUTTI_TUNE=maybe is taken")
	}
}

// TestExchange runs the program of a probe on rings: every message arrives.
func TestExchange(t *testing.T) {
	for _, coll := range []schedule.Collective{schedule.AllGather, schedule.ReduceScatter} {
		for size := 2; size <= 5; size++ {
			ring := make([]int, size)
			for i := range ring {
				ring[i] = i
			}
			comms := ranks(t, setting{size: size})
			err := together(comms, func(c *Comm) error {
				p := exchangeProgram(c.rank, c.size, ring, coll, 2, 3)
				plan, err := schedule.Lower(p, 8, 64)
				if err != nil {
					return err
				}
				in, out := []int64{1, int64(c.rank)}, []int64{100, 1000}
				r := request{
					coll: coll, typ: tensor.I64, op: tensor.Sum, count: 2,
					buf: [schedule.Buffers][]byte{schedule.In: tensor.Bytes(in), schedule.Out: tensor.Bytes(out)},
				}
				entry := &planned{plan: plan, fingerprint: r.fingerprint(-1, 64, 0)}
				entry.key.coll = coll
				if err := c.runProbe(testContext(t), entry, &r, 1); err != nil {
					return err
				}
				// Three hops: out has what the rank three before began with, or the sums on the way.
				from := int64((c.rank + 3*size - 3) % size)
				want := []int64{1, from}
				if coll.Reduces() {
					return nil
				}
				if out[0] != want[0] || out[1] != want[1] {
					return fmt.Errorf("rank %d has %v, want %v", c.rank, out, want)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s on %d ranks: %v", coll, size, err)
			}
		}
	}
}

// TestSplitRefusesTuning: links are the process's, and so is what is known of their speed.
func TestSplitRefusesTuning(t *testing.T) {
	p := &planner{}
	for name, o := range map[string]Option{
		"tuning": WithTuning(TuneOn), "cache": WithTuningCache("x"), "fabric": WithFabric(topology.Fabric{}),
	} {
		if _, err := p.with([]Option{o}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
