package collective

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tutti-ml/tutti/topology"
)

// Split makes communicators out of the ranks of c: one for each color, its ranks ordered by key
// and, for equal keys, by their rank in c. A negative color takes part and gets nil. It is a
// collective call: all ranks of c make it. The new communicator shares c's links, and nothing
// else: calls on both are independent. Both must be closed.
//
// The new communicator has c's settings, but for those that WithWire, WithAlgorithms,
// WithInvariantBits and WithChunkBytes change, the same on all of its ranks, and WithPriority. Other
// options are of the process and are refused.
func (c *Comm) Split(ctx context.Context, color, key int, opts ...Option) (*Comm, error) {
	pl, err := c.planner.with(opts)
	if err != nil {
		return nil, err
	}
	c.e.enter()
	mine := []int64{int64(color), int64(key), c.e.commNumber()}
	c.e.mu.Unlock()
	all := make([]int64, 3*c.size)
	if err := AllGather(ctx, c, all, mine); err != nil {
		return nil, err
	}
	id := all[2]    // as rank 0 says
	var group []int // ranks of c
	for r := range c.size {
		if all[3*r] == int64(color) {
			group = append(group, r)
		}
	}
	slices.SortStableFunc(group, func(a, b int) int { return cmp.Compare(all[3*a+1], all[3*b+1]) })
	if color < 0 {
		return nil, nil
	}

	e := c.e
	e.enter()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, ErrClosed
	case id < 0 || id > math.MaxUint32 || e.comms[uint32(id)] != nil:
		return nil, fmt.Errorf("collective: split of %v: number %d is not free", c, id)
	}
	ranks := make([]int, len(group))
	hosts := make([]int, len(group))
	for i, r := range group {
		ranks[i], hosts[i] = c.ranks[r], c.planner.hosts[r]
	}
	pl.hosts = topology.HostsOf(hosts).Index
	return e.newComm(uint32(id), ranks, slices.Index(group, c.rank), pl), nil
}

// with returns the planner with the settings that opts change.
func (p *planner) with(opts []Option) (planner, error) {
	c := &config{
		force: p.force, invariant: p.canonical, chunkBytes: p.chunkBytes, wire: p.wire,
		priority: p.priority,
	}
	for _, o := range opts {
		if err := o(c); err != nil {
			return planner{}, err
		}
	}
	if c.envRead || c.driverBy != "" || c.listen != "" || c.logger != nil || c.checksum ||
		c.fabric != nil || c.tuning != "" || c.tuningCache != "" {
		return planner{}, errors.New("collective: split: an option that is of the process, " +
			"not of a communicator: give it to Connect")
	}
	pl := *p
	pl.force, pl.canonical, pl.chunkBytes, pl.wire = c.force, c.invariant, c.chunkBytes, c.wire
	pl.priority = c.priority
	return pl, nil
}

// commNumber makes a number for a communicator that no other rank makes. The groups of one Split
// share it, being apart; but a process may be in several Splits at once.
func (e *engine) commNumber() int64 {
	e.splits++
	return e.splits*int64(len(e.peers)) + int64(e.rank)
}
