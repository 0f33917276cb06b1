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
// the others, which return *AbortedError; a rank whose process dies gives *RankFailedError. The
// first cause is what all ranks return; what follows from it is attached. A communicator that
// has ended stays so.
//
// A repeated call allocates nothing on drivers that allocate nothing.
//
// # Speed
//
// Which algorithm makes a call, and in which chunks, is predicted from what messages cost between these
// ranks. Connect measures that, in part of a second: between ranks of one host and of different ones, of
// two ranks alone and of all at once, who share cores and network. What was measured is kept for
// a day in a file of the user's. All ranks agree on all of it. Floating-point sums are an exception:
// their bits depend on the algorithm, so by default it is chosen by what is assumed of the driver, as
// in every other run; TUTTI_TUNE=on, or WithTuning, lets measurements choose there too. Comm.Explain
// has the candidates, what is predicted of each, and the reason.
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
