package main

import (
	"fmt"
	"strings"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// operation is one collective, as bench measures it.
type operation struct {
	name       string
	collective schedule.Collective
	blocks     bool // the larger buffer is one block for each rank; else it is one vector
	inPlace    bool // there is a form in which one buffer contains the other
	links      bool // it moves elements and so needs a second rank, and cannot do without
	factor     func(n float64) float64
}

func all(float64) float64          { return 1 }
func others(n float64) float64     { return (n - 1) / n }
func thereBack(n float64) float64  { return 2 * (n - 1) / n }
func (o *operation) rooted() bool  { return o.collective.Rooted() }
func (o *operation) reduces() bool { return o.collective.Reduces() }

// operations in the order in which -op all runs them.
var operations = []*operation{
	{name: "allreduce", collective: schedule.AllReduce, inPlace: true, factor: thereBack},
	{name: "broadcast", collective: schedule.Broadcast, inPlace: true, factor: all},
	{name: "reduce", collective: schedule.Reduce, inPlace: true, factor: all},
	{name: "scatter", collective: schedule.Scatter, blocks: true, inPlace: true, factor: others},
	{name: "gather", collective: schedule.Gather, blocks: true, inPlace: true, factor: others},
	{name: "allgather", collective: schedule.AllGather, blocks: true, inPlace: true, factor: others},
	{
		name: "reducescatter", collective: schedule.ReduceScatter, blocks: true, inPlace: true,
		factor: others,
	},
	{name: "alltoall", collective: schedule.AllToAll, blocks: true, inPlace: true, factor: others},
	{name: "sendrecv", collective: schedule.SendRecv, links: true, factor: all},
	{name: "barrier", collective: schedule.Barrier, factor: all},
}

func parseOperation(name string) (*operation, error) {
	var names []string
	for _, o := range operations {
		if o.name == name {
			return o, nil
		}
		names = append(names, o.name)
	}
	return nil, fmt.Errorf("no operation %q: there are %s, all", name, strings.Join(names, ", "))
}

// trial is one line's half: a call of one size and form, seen from one rank.
type trial struct {
	op         *operation
	typ        tensor.Type
	redop      tensor.Op // zero where nothing is combined
	root       int
	inPlace    bool
	count      int // elements of the vector, or of each rank's block
	rank, size int
	wire       tensor.Type // -wire
}

// sent is the type of the elements that messages carry.
func (t *trial) sent() tensor.Type {
	narrow := t.wire != 0 && t.typ == tensor.F32 && t.op.reduces() && t.redop.Widens() && t.size > 1
	if narrow {
		return t.wire
	}
	return t.typ
}

// countFor returns the elements of the vector, or of each block, for a size in bytes. A size that
// is not zero gives at least one element.
func (o *operation) countFor(bytes int, typ tensor.Type, ranks int) int {
	if o.collective == schedule.Barrier || bytes == 0 {
		return 0
	}
	count := bytes / typ.Size()
	if o.blocks {
		count /= ranks
	}
	return max(count, 1)
}

// elements returns the elements of the larger buffer.
func (t *trial) elements() int {
	if t.op.blocks {
		return t.count * t.size
	}
	return t.count
}

// bytes returns the bytes of the larger buffer.
func (t *trial) bytes() int { return t.elements() * t.typ.Size() }

// lengths returns the elements of what a rank sends and of what it receives.
func (t *trial) lengths() (send, recv int) {
	send, recv = t.elements(), t.elements()
	switch t.op.collective {
	case schedule.Gather, schedule.AllGather:
		send = t.count
	case schedule.Scatter, schedule.ReduceScatter:
		recv = t.count
	}
	return send, recv
}

// redopName is the operation's name in tables and JSON.
func (t *trial) redopName() string {
	if !t.op.reduces() {
		return "none"
	}
	return t.redop.String()
}

// typeName is the element type's name in tables and JSON.
func (t *trial) typeName() string {
	if t.op.collective == schedule.Barrier {
		return "none"
	}
	return t.typ.String()
}

// rootNumber is the root as nccl-tests prints it.
func (t *trial) rootNumber() int {
	if !t.op.rooted() {
		return -1
	}
	return t.root
}

// previous and next are this rank's neighbours in the ring of sendrecv.
func (t *trial) previous() int { return (t.rank + t.size - 1) % t.size }
func (t *trial) next() int     { return (t.rank + 1) % t.size }
