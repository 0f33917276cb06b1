package schedule_test

import (
	"errors"
	"fmt"

	"github.com/tutti-ml/tutti/schedule"
)

// A program is built, read and lowered for one rank at a time.
func Example() {
	args := schedule.Args{Rank: 2, Size: 3, Count: 1000, InPlace: true}
	if err := args.Check(schedule.AllReduce); err != nil {
		fmt.Println(err)
		return
	}
	a, err := schedule.Lookup(schedule.AllReduce, "circulant")
	if err != nil {
		fmt.Println(err)
		return
	}
	program := a.Build(args)
	fmt.Print(program)
	plan, err := schedule.Lower(program, 4, 1<<16)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(plan.Ops), "operations,", len(plan.Links), "links,",
		plan.ScratchBytes, "bytes of scratch")
	// Output:
	// allreduce circulant, rank 2 of 3, in place
	//   in      at [0 334 667 1000]
	//   out     at [0 334 667 1000]
	//     0  group 0   send in[1:2] to 1
	//     1  group 0   out[2:3] = in[2:3] op recv from 0
	//     2  group 1   send in[0:1] to 0
	//     3  group 1   out[2:3] = out[2:3] op recv from 1, complete
	//     4  group 2   send out[2:3] to 1
	//     5  group 2   out[0:1] = recv from 0
	//     6  group 3   send out[2:3] to 0
	//     7  group 3   out[1:2] = recv from 1
	// 8 operations, 2 links, 0 bytes of scratch
}

func ExampleAlgorithms() {
	for _, a := range schedule.Algorithms(schedule.AllReduce) {
		fmt.Println(a.Name, a.Canonical)
	}
	// Output:
	// recursive-doubling true
	// butterfly true
	// circulant false
	// ring false
	// direct false
	// one-shot true
	// double-tree false
	// hierarchical false
}

func ExampleLookup() {
	_, err := schedule.Lookup(schedule.Scatter, "ring")
	fmt.Println(err)
	// Output: schedule: scatter has no algorithm "ring": there are binomial, linear
}

func ExampleArgs_Check() {
	args := schedule.Args{Rank: 0, Size: 2, Counts: []int{7, -1}}
	var wrong *schedule.ArgsError
	if errors.As(args.Check(schedule.Gather), &wrong) {
		fmt.Println(wrong.Field)
		fmt.Println(wrong.Reason)
	}
	// Output:
	// Counts[1]
	// -1 is not in [0, 9007199254740984], with 7 elements before it
}

func ExampleAlgorithm() {
	ring, err := schedule.Lookup(schedule.AllReduce, "ring")
	if err != nil {
		fmt.Println(err)
		return
	}
	cost := ring.Cost(schedule.Args{Size: 4, Count: 1 << 20}, 4, 1<<16)
	fmt.Println(cost.Messages, "messages,", cost.Bytes/(4<<20), "of the vector sent,",
		cost.Reduced/(4<<20), "reduced")
	// Output: 6 messages, 1.5 of the vector sent, 0.75 reduced
}

func ExampleProgram_String() {
	a, err := schedule.Lookup(schedule.AllGather, "ring")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(a.Build(schedule.Args{Rank: 1, Size: 3, Counts: []int{5, 0, 2}}))
	// Output:
	// allgather ring, rank 1 of 3
	//   in      at [0 0]
	//   out     at [0 5 5 7]
	//     0  group 0   out[1:2] = in[0:1]
	//     1  group 0   send in[0:1] to 2
	//     2  group 0   out[0:1] = recv from 0
	//     3  group 1   send out[0:1] to 2
	//     4  group 1   out[2:3] = recv from 0
}

func ExampleLower() {
	program := &schedule.Program{
		Collective: schedule.SendRecv, Algorithm: "hand-made", Rank: 0, Size: 2,
		Layouts: [schedule.Buffers]schedule.Layout{schedule.In: {0, 40}},
		Steps: []schedule.Step{{
			Kind: schedule.Send, Peer: 1, A: schedule.Span{Buf: schedule.In, N: 1},
		}},
	}
	plan, err := schedule.Lower(program, 4, 64)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range plan.Ops {
		op := &plan.Ops[i]
		fmt.Printf("%s chunk %d: %d bytes at %d to rank %d\n",
			op.Kind, op.Chunk, op.Bytes(), op.A.Pieces[0].Off, op.Peer)
	}
	// Output:
	// send chunk 0: 64 bytes at 0 to rank 1
	// send chunk 1: 64 bytes at 64 to rank 1
	// send chunk 2: 32 bytes at 128 to rank 1
}

func ExampleLayout() {
	l := schedule.Layout{0, 3, 5}
	fmt.Println(l.Blocks(), "blocks,", l.Len(), "elements")
	// Output: 2 blocks, 5 elements
}

func ExampleRegion_Len() {
	r := schedule.Region{
		Buf: schedule.Out, Pieces: [2]schedule.Piece{{Off: 96, Len: 32}, {Off: 0, Len: 16}},
	}
	fmt.Println(r.Buf, r.Len())
	// Output: out 48
}

func ExampleOp_Bytes() {
	dst := schedule.Region{Buf: schedule.Out, Pieces: [2]schedule.Piece{{Off: 0, Len: 8}}}
	op := schedule.Op{Kind: schedule.Recv, Dst: dst}
	fmt.Println(op.Kind, op.Bytes())
	// Output: recv 8
}

func ExampleCollective() {
	c := schedule.ReduceScatter
	fmt.Println(c, c.Rooted(), c.Reduces())
	// Output: reducescatter false true
}

func ExampleProfileOf() {
	a, err := schedule.Lookup(schedule.AllReduce, "ring")
	if err != nil {
		fmt.Println(err)
		return
	}
	f := schedule.ProfileOf(a, schedule.Args{Size: 4, Hosts: []int{0, 0, 1, 1}})
	for _, r := range f.Rounds {
		fmt.Printf("%d rounds: a host sends %g of the vector to another one\n", r.Times, r.Outer.Host.Bytes)
	}
	fmt.Println(f.Depth, "messages wait for each other")
	// Output:
	// 3 rounds: a host sends 0.25 of the vector to another one
	// 3 rounds: a host sends 0.25 of the vector to another one
	// 6 messages wait for each other
}

func ExampleArgs_Elements() {
	a := schedule.Args{Size: 3, Counts: []int{1, 2, 3}}
	fmt.Println(a.Elements(schedule.AllGather))
	// Output: 6
}
