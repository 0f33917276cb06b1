package schedule_test

import (
	"errors"
	"fmt"

	"github.com/tutti-ml/tutti/schedule"
)

// callOf returns the same call on every rank.
func callOf(size int, a schedule.Args) []schedule.Args {
	args := make([]schedule.Args, size)
	for r := range args {
		args[r] = a
		args[r].Rank, args[r].Size = r, size
	}
	return args
}

// A program with an error: both ranks wait before they send.
func ExampleProve() {
	programs := make([]*schedule.Program, 2)
	for r := range programs {
		whole := schedule.Layout{0, 4}
		in := schedule.Span{Buf: schedule.In, N: 1}
		sum := schedule.Span{Buf: schedule.Scratch, N: 1}
		programs[r] = &schedule.Program{
			Collective: schedule.AllReduce, Algorithm: "mine", Rank: r, Size: 2,
			Layouts: [schedule.Buffers]schedule.Layout{whole, whole, whole},
			Steps: []schedule.Step{
				{Kind: schedule.Copy, Dst: sum, A: in},
				{Kind: schedule.RecvReduce, Peer: 1 - r, Dst: sum, A: sum, Last: true},
				{Kind: schedule.Send, Peer: 1 - r, A: sum},
			},
		}
	}
	_, err := schedule.Prove(programs, schedule.ProveOptions{
		Args: callOf(2, schedule.Args{Count: 4}),
	})
	var failed *schedule.ProofError
	fmt.Println(errors.As(err, &failed), failed.Check)
	// Output: true deadlock
}

func ExampleProveAlgorithm() {
	a, err := schedule.Lookup(schedule.AllReduce, "circulant")
	if err != nil {
		fmt.Println(err)
		return
	}
	args := callOf(5, schedule.Args{Count: 1000})
	proof, err := schedule.ProveAlgorithm(a, args, schedule.ProveOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(proof.Rounds, "rounds,", proof.Max.Sent, "elements sent by each rank")
	fmt.Println("element 0:", proof.Order)
	fmt.Println("neighbours of rank 0:", proof.Contact[0])
	// Output:
	// 6 rounds, 1600 elements sent by each rank
	// element 0: (((0+2)+3)+(4+1))
	// neighbours of rank 0: [1 2 3 4]
}

// Ranks that disagree about the root of a broadcast may all wait for the root they believe in.
func ExampleSimulateMismatch() {
	a, err := schedule.Lookup(schedule.Broadcast, "binomial")
	if err != nil {
		fmt.Println(err)
		return
	}
	var roots [2][]*schedule.Program
	for root := range roots {
		for _, args := range callOf(2, schedule.Args{Root: root, Count: 4}) {
			roots[root] = append(roots[root], a.Build(args))
		}
	}
	for _, believers := range [][]bool{{false, true}, {true, false}} {
		m, err := schedule.SimulateMismatch(roots[0], roots[1], believers)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("silent:", m.Silent(), "seen:", m.Seen, "waiting:", m.Waiting)
	}
	// Output:
	// silent: false seen: [[0 1] [1 0]] waiting: [0 1]
	// silent: true seen: [] waiting: [0 1]
}
