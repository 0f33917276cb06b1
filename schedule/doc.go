// Package schedule holds the algorithms of the collectives, as data.
//
// A builder is a pure function of a call's arguments and returns a rank's [Program]: a list of
// steps that send, receive, combine and copy blocks of three buffers. [Lower] cuts the steps into
// chunks and derives from the memory they touch which must wait for which; the [Plan] that results
// is what an executor runs. The same program can be proved ([Prove]), costed ([Algorithm].Cost),
// printed ([Program.String]), simulated and run.
//
//	a, err := schedule.Lookup(schedule.AllReduce, "circulant")
//	args := schedule.Args{Rank: 2, Size: 5, Count: 1000}
//	err = args.Check(schedule.AllReduce)
//	program := a.Build(args)
//	plan, err := schedule.Lower(program, 4, 1<<16)
//
// # Buffers
//
// In and Out have exactly the elements that the collective gives the rank; a rank that has none,
// such as a rank other than the root where only the root receives, has a nil [Layout]. In is only
// ever written where Out lies over it. Scratch belongs to the engine, and no program reads what it
// did not write, but for the token of a barrier, whose content means nothing.
//
// A [Span] may go over the end of its buffer, so the regions of one operation can consist of pieces
// that do not match: an executor that combines them cuts at the borders of both.
//
// # Order
//
// A program says nothing about time. A later step waits for an earlier one only if they touch the
// same memory and one of them writes it. The frames of a link, in each direction, follow
// [Step].Group, then the number of the chunk, then the place of the step; both ends order them
// alike. That is all that is needed: every program ends even if each send must wait for its
// receive.
//
// # Two levels
//
// Args.Hosts tells which ranks share a host. The algorithms called hierarchical are composed of the
// phases of the others over two teams of ranks, so that over the network goes what would go if
// every host were one rank. They apply where there are several hosts, and one of them has several
// ranks.
//
// # Bits
//
// All ranks end with the same bits, always. An [Algorithm] that is Canonical combines every element
// in an order that depends on the number of ranks only, the same for all canonical algorithms of
// all collectives: neighbours two by two while ranks exceed a power of two, then distances
// 1, 2, 4, ..., lower rank on the left. So neither the length of a vector nor an element's place in
// it changes a bit of the result, and an operation need only be associative. Other algorithms
// demand that it commutes too.
//
// # Adding an algorithm
//
// One file with one builder, and one line in the list of its collective. The tests take every
// algorithm from the registry: they prove it for every size to 64, run it, and compare it with its
// Cost.
//
// # What it imports and what never enters
//
// Packages tensor (the partition of a vector) and topology (shapes and the cost model). No
// transport, communicator, clock, goroutine, element type or operation: a program is the same for
// all of them.
package schedule
