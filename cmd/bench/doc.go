// Command bench measures the collectives as NVIDIA's nccl-tests do: the same options, the same
// convention of sizes, the same columns.
//
//	bench -op allreduce -np 4 -b 4 -e 64M -f 4          4 processes here, over shared memory
//	bench -op all -np 4 -driver inproc -dtype all       4 goroutines of one process
//	tutti run -n 4 -- bench -op alltoall -json          the ranks of a launcher
//
// # What is measured
//
// For each size: warm-up calls, a barrier, then a loop of calls one directly after the other, with
// the clock read between them. Inside the loop nothing is printed and, by bench, nothing allocated;
// all memory has been written to before. Without -n the number of calls is chosen so that the loop
// takes about -time; all ranks agree on it.
//
//   - time is the mean time of a call, of the rank where it is longest. (nccl-tests prints the
//     average over ranks unless told otherwise; the longest is what a program waits for.)
//   - p50 and p99 are percentiles of the times of single calls on one rank, again of the rank where
//     they are longest. A rank that may run ahead, such as the root of a broadcast, has short calls
//     and long ones: the percentiles of such a collective show that, the mean does not.
//   - size is the bytes of the larger buffer of a rank: the whole vector of an all-reduce, a
//     broadcast or a reduce; all blocks together for the other collectives, where it is rounded
//     down to whole blocks, one element each at least. count is what a caller would pass: elements
//     of the vector, or of one rank's block.
//   - in place, the larger buffer contains the smaller one. "-" stands where a form does not exist.
//
// # Bandwidth
//
// algbw is size / time, in 10^9 bytes a second. busbw is algbw times a factor that makes the number
// comparable between collectives and numbers of ranks: it is the rate at which each rank's link is
// busy in one direction when the algorithm moves as little as is possible. Of size S on n ranks:
//
//   - all-gather: every rank must receive the n-1 blocks of the others, S/n each: (n-1)/n.
//   - reduce-scatter: the same backwards, every rank must send n-1 blocks, combined with others'
//     or not: (n-1)/n.
//   - all-reduce: every block must be combined somewhere and come back, so that an element costs
//     n-1 transfers on the way in and n-1 on the way out; spread over n links: 2(n-1)/n.
//   - all-to-all: every rank keeps one of its n blocks and sends the others: (n-1)/n.
//   - gather, scatter: the root's link carries the blocks of the n-1 others: (n-1)/n.
//   - broadcast, reduce: every rank but one must receive, or send, all of S: 1.
//   - sendrecv: every rank sends S to the next rank of a ring and receives S from the last: 1.
//
// One rank alone has no link: the factors with n-1 are zero there.
//
// # Verification
//
// With -c, on by default, each size is called again after it was timed, in both forms, on buffers
// filled by a hash of (rank, index) and a poisoned result. The expected result is computed directly
// from the hash, by the definition of the collective, in 64-bit integers; values are chosen such
// that every order of combining them is exact in the element type (see values.go). #wrong is the
// number of wrong elements on all ranks together; if it is not zero the exit status is 1.
//
// # Memory
//
// Buffers are of collective.Alloc, as a caller's should be who wants speed; -plain measures ordinary
// memory.
//
// # Predictions
//
// -explain prints for each size what the communicator predicts, what a call takes, and their ratio,
// with the parts of the prediction: latency, path (the busiest rank) and host (what all ranks of a
// host keep it busy with). It ends with how often the two are within a factor of 2. What a call
// takes is the median of the means of some batches of calls, of which each finds other values to send
// than the last did, so that caches of other ranks do not have them; it is made out of place, though an
// all-reduce is predicted in place, which differs where its algorithm copies there; a rooted call is predicted and measured
// together with the smallest call the other way, for else a root would run ahead. -algo looks at an
// algorithm that would not be chosen, -chunk at another cut. TUTTI_TUNE=fresh measures the links
// first, whatever is known of them.
//
// # Traffic beside
//
// With -beside S all-reduces of S bytes go on, one after another, on another communicator while the
// lines are measured: what a small call has to wait behind. -priority measures on a communicator
// made with collective.WithPriority.
//
// # JSON
//
// -json prints one object a line for each size and form, with exactly these fields:
//
//	op dtype redop     names; redop is "none" where nothing is combined, and so is a barrier's dtype
//	wire               element type of the messages: dtype, but for what -wire makes narrower
//	driver algo np     what moves the frames; the algorithm that the communicator takes for such a
//	                   call from root 0 ("direct" for sendrecv); number of ranks
//	bytes count        size and count as above
//	inplace            whether the call was in place
//	time_us algbw_gbs busbw_gbs p50_us p99_us    as above, microseconds and 10^9 bytes a second
//	wrong              wrong elements, null when unchecked
//
// The package imports collective and what that imports; nothing imports it. It never takes an
// expected value from schedule or from tensor's reductions: those are what it checks.
package main
