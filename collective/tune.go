package collective

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
)

// Tuning happens once, in Connect: the ranks measure what messages between them cost, or rank 0
// knows it from the last time, and from then on predict every algorithm by that. Whatever is
// decided on the way, which probe comes next and how often, is decided by numbers that all ranks
// have agreed on, as the choice of an algorithm must be.

// Bounds of what measuring may take. tuneBudget is for all levels of links together, beside opening
// them: where no further probe begins. A probe is left out when what is known says that it would
// go beyond.
const (
	tuneBudget = 500 * time.Millisecond
	probeTime  = 6 * time.Millisecond // what a probe should take
	probeMin   = 3                    // calls
	probeMax   = 40
	// probeBatches is in how many batches these are made, about, to tell what is usual.
	probeBatches = 5
)

// tuneComm is the number of the communicator that ranks tune on. No Split makes it.
const tuneComm = math.MaxUint32

// tuner is one rank's part in the measurement.
type tuner struct {
	c      *Comm
	left   time.Duration // for probes of a level, as all ranks agree
	kinds  []probeKind
	missed bool      // there was no time for a probe that tells much
	memory [2][]byte // of Alloc, each as long as the longest message
}

// tune makes the world's communicator predict by measured times. All ranks call it.
func (c *Comm) tune(
	ctx context.Context, driver string, members []rendezvous.Member, cfg *config,
) error {
	begin := time.Now()
	e := c.e
	e.enter()
	pl := c.planner
	pl.force = map[schedule.Collective]string{ // nothing here may depend on speeds
		schedule.AllReduce: schedule.Algorithms(schedule.AllReduce)[0].Name,
		schedule.Broadcast: schedule.Algorithms(schedule.Broadcast)[0].Name,
	}
	pl.canonical, pl.speeds = false, pl.assumed
	t := &tuner{c: e.newComm(tuneComm, c.ranks, c.rank, pl)}
	e.mu.Unlock()
	s, err := t.run(ctx, driver, members, cfg)
	if err = errors.Join(err, t.c.Close()); err != nil {
		return fmt.Errorf("tuning: %w", err)
	}
	e.enter()
	c.planner.speeds, c.planner.steady = s, cfg.tunes() == TuneSteady
	e.mu.Unlock()
	if c.rank == 0 {
		e.log.Info("tuned", s.attributes(c.planner.hosts, time.Since(begin))...)
	}
	return nil
}

// run takes the speeds that rank 0 knows, or else measures them.
func (t *tuner) run(
	ctx context.Context, driver string, members []rendezvous.Member, cfg *config,
) (speeds, error) {
	var cache *speedCache
	known := make([]byte, maxFabricBytes)
	if t.c.rank == 0 {
		cache = openCache(cfg, driver, members, t.c.e.log)
		copy(known, cache.load())
	}
	if err := Broadcast(ctx, t.c, known, 0); err != nil {
		return speeds{}, err
	}
	if f, err := decodeFabric(known); f != nil || err != nil {
		return speeds{fabric: *cmp.Or(f, &topology.Fabric{}), source: "cache"}, err
	}
	f, err := t.measure(ctx, driver)
	if err != nil {
		return speeds{}, err
	}
	if t.c.rank == 0 && !t.missed { // what is incomplete is better measured again
		cache.store(f)
	}
	return speeds{fabric: *f, source: "measured"}, nil
}

// maxFabricBytes bounds what a fabric is encoded in.
const maxFabricBytes = 8 << 10

// decodeFabric reads what rank 0 knows: nothing, or an encoded fabric behind which zeros follow.
func decodeFabric(known []byte) (*topology.Fabric, error) {
	known = bytes.TrimRight(known, "\x00")
	if len(known) == 0 {
		return nil, nil
	}
	f := &topology.Fabric{}
	err := json.Unmarshal(known, f)
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("speeds that rank 0 has sent: %w", err)
	}
	return f, nil
}

// agree returns the most that any rank has of each number.
func (t *tuner) agree(ctx context.Context, mine ...float64) ([]float64, error) {
	return mine, AllReduce(ctx, t.c, mine, tensor.Max)
}

// measure runs all probes, the most telling first, and makes a fabric of what they found.
func (t *tuner) measure(ctx context.Context, driver string) (*topology.Fabric, error) {
	t.kinds = probeKinds(t.c.planner.hosts, t.c.rank)
	longest := 0
	for _, k := range t.kinds {
		longest = max(longest, k.longest())
	}
	for i := range t.memory {
		t.memory[i] = Alloc[uint8](t.c, longest)
		defer Free(t.c, t.memory[i])
	}
	levels := 1
	if h := topology.HostsOf(t.c.planner.hosts); h.Largest() > 1 && h.Count() > 1 {
		levels = 2
	}
	for _, outer := range []bool{false, true} {
		t.left = tuneBudget / time.Duration(levels)
		for _, size := range probeSizes {
			for i := range t.kinds {
				k, size := &t.kinds[i], size
				if size.bytes == probeLongest {
					size.bytes = k.longest()
				}
				if k.outer == outer && k.applies(size) {
					if err := t.probe(ctx, k, size); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	f := t.fabric(driver)
	return f, f.Check()
}

// probe times the exchange of one size and notes what all ranks agree that it takes.
func (t *tuner) probe(ctx context.Context, k *probeKind, size probeSize) error {
	hops, times := k.extent(size, t.left.Seconds())
	if times == 0 {
		t.missed = t.missed || len(k.curve) < 2
		return nil
	}
	begin := time.Now()
	took, err := t.exchange(ctx, k, size, hops, times)
	if err != nil {
		return err
	}
	all, err := t.agree(ctx, took.Seconds()/float64(hops), time.Since(begin).Seconds())
	if err != nil {
		return err
	}
	if size.what == opening { // links have to be opened anyway
		k.opened = all[1]
	} else {
		t.left -= time.Duration(all[1] * 1e9)
	}
	if t.c.rank == 0 {
		t.c.e.log.Debug("probe", "outer", k.outer, "busy", k.busy, "what", size.what, "bytes", size.bytes,
			"times", times, "hop", micros(all[0]), "left", t.left)
	}
	k.note(size, all[0])
	return nil
}

// attributes is the log line about speeds.
func (s *speeds) attributes(hosts []int, took time.Duration) []any {
	h := topology.HostsOf(hosts)
	var a []any
	links := func(name string, l *topology.Links) {
		g := []any{
			slog.String("alpha", micros(l.Alone.Alpha())), slog.String("rate", rate(l.Alone.Beta())),
			slog.String("frame", micros(l.Frame)),
		}
		if len(l.Busy) > 0 {
			g = append(g, slog.String("host_alpha", micros(l.Busy.Alpha())),
				slog.String("host_rate", rate(l.Busy.Beta())))
		}
		a = append(a, slog.Group(name, g...))
	}
	a = append(a, "ranks", len(hosts), "hosts", h.Count(), "source", s.source,
		"took", took.Round(time.Millisecond))
	if h.Largest() > 1 {
		links("inner", &s.fabric.Inner)
	}
	if h.Count() > 1 {
		links("outer", &s.fabric.Outer)
	}
	return append(a, "reduce", rate(s.fabric.Gamma))
}

func micros(seconds float64) string { return fmt.Sprintf("%.3gus", seconds*1e6) }

// rate is the inverse of a time for a byte.
func rate(beta float64) string {
	if beta <= 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.3gGB/s", 1e-9/beta)
}
