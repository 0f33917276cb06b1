// Package collective is the engine: communicators, and the collective calls on them.
//
// A communicator is a group of ranks, each a process or, for tests and examples, a goroutine. All
// ranks make the same calls in the same order:
//
//	comm, err := collective.Connect(ctx) // rank, size and store from the launcher's environment
//	if err != nil {
//		return err
//	}
//	defer comm.Close()
//	err = collective.AllReduce(ctx, comm, gradients, tensor.Avg)
//
// # Promises
//
// Buffers belong to the engine from the call to its return; for asynchronous calls, to the return
// of Wait. Nothing is copied that need not be: a driver reads payload straight into the caller's
// memory or lends its own to the reduction.
//
// All ranks end with the same bits. The same call on the same number of ranks gives the same bits
// in every run. With WithInvariantBits the bits of a reduction depend on nothing but the
// contributions and the number of ranks.
//
// Every call is compared with the calls of the ranks that it hears from, at no cost: a fingerprint
// of it stands in every frame. Ranks that disagree get a *MismatchError that names both calls, on
// every rank. Where all ranks wait and nobody sends, as in broadcasts with crossed roots, ranks that
// have waited for a quarter of a second tell each other where they are, and find out by that. A
// rank whose part was over before, the leaf of a reduce, learns at its next call.
//
// Nothing waits for ever. The end of a call's context ends the call on this rank at once and tells
// the others, which return *AbortedError; a rank whose process dies gives *RankFailedError. A
// reduction of the user's that panics ends the communicator with a *PanicError; one that ends its goroutine
// ends all of the process. The first cause is what all ranks return; what follows from it is attached. A
// communicator that has ended stays so.
//
// A repeated call allocates nothing on drivers that allocate nothing.
//
// # Narrow messages
//
// Calls on a communicator made with WithPriority do not wait behind those on others.
//
// With WithWire reductions of float32 send BF16 or F16, half as many bytes, and add in float32. A number
// is rounded, to nearest and ties to even, when it is sent and when its result is complete. What a
// rank adds from its own memory is not, but where two ranks exchange vectors and both add them, or
// with WithInvariantBits; then the bits are those of a reduction of BF16 or F16 vectors. All that is
// promised above holds. The memory of a call's input is not changed.
//
// How far a sum may be off: on the way to its result on p ranks a contribution is rounded at most
// R = ceil(log2 p) + 2 times, p times by ring, chain and hierarchical. A rounding multiplies what it is
// applied to by 1+d, |d| <= u, with u = 2^-8 for BF16 and 2^-11 for F16; an addition does with
// 2^-24. Multiplied out, the contributions x give
//
//	|result - sum x| <= ((1+u)^R (1+2^-24)^p - 1) sum |x|, which is about R u sum |x|
//
// and the p-th part of both for Avg. Numbers below the normal ones of F16, 2^-14, are rounded by at
// most 2^-25 whatever they are; there are fewer than 2p roundings to add that for. Min and Max are the
// exact ones, rounded once. BF16 has the range of float32. F16 has not: contributions, sums of some and
// sums of all become infinite from 65520 on, for Avg too. NaN and infinities arrive as such.
//
// # Speed
//
// Which algorithm makes a call, and in which chunks, is predicted from what messages cost between these
// ranks. Connect measures that, in part of a second: between ranks of one host and of different ones, of
// two ranks alone and of all at once, who share cores and network. What was measured is kept for
// a day in a file of the user's. All ranks agree on all of it. Floating-point sums are an exception:
// their bits depend on the algorithm, so by default it is chosen by what is assumed of the driver, and
// of whether ranks outnumber the cores of a host, as in every other run there; TUTTI_TUNE=on, or
// WithTuning, lets measurements choose there too. Comm.Explain has the candidates, what is predicted of
// each, and the reason.
//
// # Limits
//
// A context without a deadline waits as long as the peers' processes and connections live. Frames
// that no call has posted for are held in memory, at most 4 MiB for each peer and communicator.
// Calls of one communicator from several goroutines need an order that is the same on all ranks;
// independent work belongs on communicators of its own, by Split.
//
// The package imports tensor, topology, schedule, transport (its drivers only by the registry
// package transport/drivers, and inproc for Local) and rendezvous. No driver, no launcher and no
// algorithm is named in it.
package collective
