package collective

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/tutti-ml/tutti/internal/netnstest"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

func init() { programs["hosts"] = hostsProgram }

// startOn runs the ranks of a job, equally many of them on each host, the first ones on the first.
func startOn(t *testing.T, h *netnstest.Hosts, each int, program, argument string) []*process {
	t.Helper()
	all := make([]*process, 2*each)
	for rank := range all {
		line := append(h.On(rank/each), os.Args[0])
		all[rank] = startRank(t, rank, exec.Command(line[0], line[1:]...),
			programVariable+"="+program, argumentVariable+"="+argument, "TUTTI_DRIVER=",
			"TUTTI_HOST_ID="+h.Names[rank/each], "TUTTI_SECRET=secret",
			"MASTER_ADDR="+h.Addresses[0], "MASTER_PORT=29500",
			fmt.Sprint("RANK=", rank), fmt.Sprint("WORLD_SIZE=", len(all)))
	}
	return all
}

// wire is the calls whose traffic is counted.
type wire struct {
	Collective schedule.Collective
	Algorithm  string
	Count      int // elements of a rank's larger buffer
}

const wireCalls = 4

// hostsProgram makes calls between two words from the test, which reads the cards' counters in
// between.
func hostsProgram(ctx context.Context, argument string) error {
	var all []wire
	if err := json.Unmarshal([]byte(argument), &all); err != nil {
		return err
	}
	for i, w := range all {
		c, err := connect(ctx, fmt.Sprint(i),
			WithAlgorithms(fmt.Sprintf("%s=%s", w.Collective, w.Algorithm)))
		if err != nil {
			return err
		}
		large, small := make([]float32, w.Count), make([]float32, w.Count/c.Size())
		for range wireCalls + 1 { // the first one opens the links
			if err := errors.Join(report(i), await("go"), w.call(ctx, c, large, small)); err != nil {
				return err
			}
		}
		if err := errors.Join(report(i), await("go"), c.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (w wire) call(ctx context.Context, c *Comm, large, small []float32) error {
	switch w.Collective {
	case schedule.AllReduce:
		return AllReduce(ctx, c, large, tensor.Sum)
	case schedule.Broadcast:
		return Broadcast(ctx, c, large, 1)
	case schedule.Reduce:
		return Reduce(ctx, c, large, large, tensor.Sum, 3)
	case schedule.AllGather:
		return AllGather(ctx, c, large, small)
	case schedule.ReduceScatter:
		return ReduceScatter(ctx, c, small, large, tensor.Sum)
	}
	return fmt.Errorf("no call of %s", w.Collective)
}

// TestBytesBetweenHosts counts what crosses the network between two hosts of two ranks each. In
// two levels no card sends more than the lower bound, 2(h-1)/h of the vector for an all-reduce,
// and what headers and acknowledgements add: half of what flat algorithms send, or less.
func TestBytesBetweenHosts(t *testing.T) {
	const each, count = 2, 1 << 20
	tests := []struct {
		collective schedule.Collective
		algorithm  string
		vectors    float64 // that the busier of the cards sends, of the larger buffer's size
	}{
		{schedule.AllReduce, "hierarchical", 1},
		{schedule.AllReduce, "circulant", 2.5},
		{schedule.AllReduce, "recursive-doubling", 2},
		{schedule.Broadcast, "hierarchical", 1},
		{schedule.Reduce, "hierarchical", 1},
		{schedule.AllGather, "hierarchical", 0.5},
		{schedule.AllGather, "circulant", 1.25},
		{schedule.ReduceScatter, "hierarchical", 0.5},
		{schedule.ReduceScatter, "circulant", 1.25},
	}
	var calls []wire
	for _, test := range tests {
		calls = append(calls, wire{test.collective, test.algorithm, count})
	}
	argument, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	h := netnstest.New(t)
	ranks := startOn(t, h, each, "hosts", string(argument))
	step := func() {
		for _, p := range ranks {
			read[int](p)
		}
	}
	release := func() {
		for _, p := range ranks {
			p.tell("go")
		}
	}
	for _, test := range tests {
		step()
		release()
		step()
		before := h.Sent()
		for range wireCalls {
			release()
			step()
		}
		after := h.Sent()
		release()
		most := float64(max(after[0]-before[0], after[1]-before[1])) / wireCalls
		bound := test.vectors * 4 * count
		t.Logf("%s, %s: the busier card sends %.0f bytes a call, %.3f of its share", test.collective,
			test.algorithm, most, most/bound)
		// Headers of packets of 1500 bytes would be 5 %; of the large ones that a virtual card takes
		// they are less. What the other card acknowledges comes on top.
		if most < bound || most > 1.08*bound {
			t.Errorf("%s, %s: the busier card sends %.0f bytes a call, want %.0f and some for headers",
				test.collective, test.algorithm, most, bound)
		}
	}
	for _, p := range ranks {
		p.mustEnd()
	}
}
