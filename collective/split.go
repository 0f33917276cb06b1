package collective

import (
	"cmp"
	"context"
	"slices"

	"github.com/tutti-ml/tutti/topology"
)

// Split makes communicators out of the ranks of c: one for each color, its ranks ordered by key
// and, for equal keys, by their rank in c. A negative color takes part and gets nil. It is a
// collective call: all ranks of c make it. The new communicator shares c's links, and nothing
// else: calls on both are independent. Both must be closed.
func (c *Comm) Split(ctx context.Context, color, key int) (*Comm, error) {
	c.e.enter()
	mine := []int64{int64(color), int64(key), int64(c.e.nextComm)}
	c.e.mu.Unlock()
	all := make([]int64, 3*c.size)
	if err := AllGather(ctx, c, all, mine); err != nil {
		return nil, err
	}
	id := int64(0)
	var group []int // ranks of c
	for r := range c.size {
		id = max(id, all[3*r+2])
		if all[3*r] == int64(color) {
			group = append(group, r)
		}
	}
	slices.SortStableFunc(group, func(a, b int) int { return cmp.Compare(all[3*a+1], all[3*b+1]) })

	e := c.e
	e.enter()
	defer e.mu.Unlock()
	// Every rank of c takes the number as used, whatever its color, so that a rank of the new
	// communicator has made no other of that number.
	e.nextComm = max(e.nextComm, uint32(id)+1)
	if color < 0 {
		return nil, nil
	}
	ranks := make([]int, len(group))
	hosts := make([]int, len(group))
	for i, r := range group {
		ranks[i], hosts[i] = c.ranks[r], c.planner.hosts[r]
	}
	pl := c.planner
	pl.hosts = topology.HostsOf(hosts).Index
	return e.newComm(uint32(id), ranks, slices.Index(group, c.rank), pl), nil
}
