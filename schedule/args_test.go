package schedule_test

import (
	"errors"
	"math"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

func TestCheckAccepts(t *testing.T) {
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		for size := 1; size <= 5; size++ {
			for _, s := range settings(a, size) {
				for _, args := range s.args() {
					if err := args.Check(a.Collective); err != nil {
						t.Errorf("%s: %v", s, err)
					}
				}
			}
		}
	})
	if err := (schedule.Args{Size: 2, Rank: 1, Count: 3}).Check(schedule.SendRecv); err != nil {
		t.Error(err)
	}
}

var refusals = []struct {
	name       string
	collective schedule.Collective
	args       schedule.Args
	want       string
}{
	{
		"no ranks", schedule.Barrier,
		schedule.Args{Rank: 0, Size: 0},
		"schedule: barrier on rank 0: Size: 0: there must be at least one rank",
	},
	{
		"rank", schedule.Barrier,
		schedule.Args{Rank: 4, Size: 4},
		"schedule: barrier on rank 4: Rank: 4 is not in [0, 4)",
	},
	{
		"negative rank", schedule.AllReduce,
		schedule.Args{Rank: -1, Size: 4},
		"schedule: allreduce on rank -1: Rank: -1 is not in [0, 4)",
	},
	{
		"root", schedule.Broadcast,
		schedule.Args{Rank: 1, Size: 4, Root: 4},
		"schedule: broadcast on rank 1: Root: 4 is not in [0, 4)",
	},
	{
		"count", schedule.Reduce,
		schedule.Args{Rank: 1, Size: 4, Count: -1},
		"schedule: reduce on rank 1: Count: -1 is not in [0, 9007199254740991]",
	},
	{
		"large count", schedule.AllReduce,
		schedule.Args{Size: 4, Count: schedule.MaxElements + 1},
		"schedule: allreduce on rank 0: Count: 9007199254740992 is not in [0, 9007199254740991]",
	},
	{
		"few counts", schedule.Gather,
		schedule.Args{Rank: 1, Size: 3, Counts: []int{1, 2}},
		"schedule: gather on rank 1: Counts: 2 counts for 3 ranks",
	},
	{
		"negative count", schedule.ReduceScatter,
		schedule.Args{Size: 3, Counts: []int{1, 2, -3}},
		"schedule: reducescatter on rank 0: Counts[2]: -3 is not in [0, 9007199254740988], " +
			"with 3 elements before it",
	},
	{
		"overflow", schedule.AllGather,
		schedule.Args{Size: 2, Counts: []int{1, math.MaxInt}},
		"schedule: allgather on rank 0: Counts[1]: 9223372036854775807 is not in " +
			"[0, 9007199254740990], with 1 elements before it",
	},
	{
		"no receive counts", schedule.AllToAll,
		schedule.Args{Size: 2, SendCounts: []int{1, 2}},
		"schedule: alltoall on rank 0: RecvCounts: 0 counts for 2 ranks",
	},
	{
		"own block", schedule.AllToAll,
		schedule.Args{Size: 2, SendCounts: []int{1, 2}, RecvCounts: []int{2, 2}},
		"schedule: alltoall on rank 0: SendCounts: 1 elements for the rank itself, " +
			"which expects 2",
	},
	{
		"in place", schedule.AllToAll,
		schedule.Args{Size: 2, SendCounts: []int{1, 2}, RecvCounts: []int{1, 3}, InPlace: true},
		"schedule: alltoall on rank 0: RecvCounts: differ from SendCounts: " +
			"in place, a block takes another one's place",
	},
	{
		"not uniform", schedule.AllToAll,
		schedule.Args{Size: 2, Count: 2, SendCounts: []int{2, 1}, RecvCounts: []int{2, 2}},
		"schedule: alltoall on rank 0: Count: 2 says that all blocks have this size, " +
			"but rank 1 is sent 1 and sends 2",
	},
	{
		"hosts", schedule.AllReduce,
		schedule.Args{Size: 3, Hosts: []int{0, 1}},
		"schedule: allreduce on rank 0: Hosts: 2 hosts for 3 ranks",
	},
	{
		"order of hosts", schedule.AllReduce,
		schedule.Args{Size: 3, Hosts: []int{0, 2, 1}},
		"schedule: allreduce on rank 0: Hosts[1]: 2: hosts are numbered in the order of their " +
			"first rank, the next is 1",
	},
	{
		"collective", schedule.Collective(77),
		schedule.Args{Size: 1},
		"schedule: collective(77) on rank 0: Collective: there is no such collective",
	},
}

func TestCheckRefuses(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			err := c.args.Check(c.collective)
			var typed *schedule.ArgsError
			if !errors.As(err, &typed) {
				t.Fatalf("error %v", err)
			}
			if err.Error() != c.want {
				t.Errorf("got  %s\nwant %s", err, c.want)
			}
			if typed.Collective != c.collective || typed.Rank != c.args.Rank {
				t.Errorf("error is of rank %d, %s", typed.Rank, typed.Collective)
			}
		})
	}
}

func TestCheckNamesCause(t *testing.T) {
	err := schedule.Args{Size: 2, Counts: []int{5, -1}}.Check(schedule.Scatter)
	var cause *tensor.CountError
	if !errors.As(err, &cause) || cause.Index != 1 || cause.Count != -1 || cause.Before != 5 {
		t.Errorf("cause is %+v", cause)
	}
}
