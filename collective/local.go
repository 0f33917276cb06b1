package collective

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/topology"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// world is what an engine is made of.
type world struct {
	rank    int
	members []rendezvous.Member
	ep      transport.Endpoint
	driver  string
	config  *config
	release func() error // closed after the endpoint
	// goroutines says that all ranks are goroutines of this process.
	goroutines bool
}

// newWorld makes the engine of a process and its first communicator, of all ranks.
func newWorld(w world) *Comm {
	ids := make([]string, len(w.members))
	local := 0
	for i, m := range w.members {
		ids[i] = m.HostID
		if m.HostID == w.members[w.rank].HostID {
			local++
		}
	}
	e := &engine{
		rank: w.rank, ep: w.ep, log: w.config.logger, host: w.members[w.rank].Host, driver: w.driver,
		comms: map[uint32]*Comm{}, early: map[uint32]*record{},
		patience: transport.NewPatience(local, w.goroutines), checksum: w.config.checksum, release: w.release,
		pump: pump{patience: transport.NewPatience(local, w.goroutines)},
	}
	e.scratch.special, _ = w.ep.(transport.Allocator)
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	ranks := make([]int, len(w.members))
	for i, m := range w.members {
		ranks[i] = i
		var p *peer
		if i != w.rank {
			p = &peer{rank: i, host: m.Host, addresses: m.Addresses}
		}
		e.peers = append(e.peers, p)
	}
	e.inTurns = crowded(w.members)
	hosts := topology.HostsOf(ids).Index
	pl := planner{
		hosts: hosts, assumed: assumed(w.driver, hosts, e.inTurns), force: w.config.force,
		canonical: w.config.invariant, chunkBytes: w.config.chunk(w.driver, e.inTurns),
		wire: w.config.wire, priority: w.config.priority,
	}
	pl.speeds = pl.assumed
	if f := w.config.fabric; f != nil {
		pl.speeds = speeds{fabric: *f, source: "given"}
	}
	return e.newComm(0, ranks, w.rank, pl)
}

// newComm makes a communicator of this rank and others; rank is this rank's place in ranks. It is
// called with the turn, or before there is anyone to have it.
func (e *engine) newComm(id uint32, ranks []int, rank int, pl planner) *Comm {
	pl.rank, pl.size, pl.seed = rank, len(ranks), maphash.MakeSeed()
	pl.cache, pl.clock = map[planKey]*planned{}, 0
	clear(pl.recent[:])
	pl.profiles = map[profileKey]*schedule.Profile{}
	c := &Comm{
		e: e, id: id, rank: rank, size: len(ranks), ranks: ranks, index: map[int]int{},
		left: map[int]bool{}, knows: map[int]bool{}, planner: pl,
	}
	for i, r := range ranks {
		c.index[r] = i
		p := e.peers[r]
		if p != nil && slices.ContainsFunc(p.channels, func(ch *channel) bool { return ch.id.comm == id && ch.left }) {
			c.left[i] = true
		}
	}
	e.comms[id] = c
	e.open++
	if r := e.early[id]; r != nil {
		delete(e.early, id)
		e.fail(c, r)
	}
	return c
}

// Local returns the communicators of size ranks inside this process, for tests, examples and
// programs whose ranks are goroutines. Each is for the goroutines of its rank. Close all of them.
func Local(ctx context.Context, size int, opts ...Option) ([]*Comm, error) {
	if size < 1 {
		return nil, fmt.Errorf("collective: %d ranks: want at least 1", size)
	}
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	d := cfg.driver
	if d == nil {
		d = inproc.NewNetwork(inproc.Options{}).Driver()
	}
	eps := make([]transport.Endpoint, size)
	members := make([]rendezvous.Member, size)
	var g errgroup.Group
	for r := range size {
		g.Go(func() (err error) {
			eps[r], err = d.Open(ctx, transport.Config{
				Rank: r, Size: size, Job: "local", HostID: "local", Logger: cfg.logger,
			})
			return err
		})
	}
	err = g.Wait()
	comms := make([]*Comm, 0, size)
	for r := 0; r < size && err == nil; r++ {
		members[r] = rendezvous.Member{Host: fmt.Sprint("goroutine ", r), HostID: "local", Addresses: eps[r].Addresses()}
	}
	for r := 0; r < size && err == nil; r++ {
		comms = append(comms, newWorld(world{
			rank: r, members: members, ep: eps[r], driver: d.Name(), config: cfg, goroutines: true,
		}))
	}
	if err == nil {
		return comms, nil
	}
	for _, ep := range eps {
		if ep != nil {
			err = errors.Join(err, ep.Close())
		}
	}
	return nil, err
}
