// Command peers compares Tutti's collectives with those of Open MPI, MPICH and Gloo over sockets of
// this host, and prints a table in Markdown. run.sh builds what it needs and starts it:
//
//	scripts/peers/run.sh -op allreduce -np 2,4 -sizes 4,1K,64K,1M,16M,64M -rounds 5
//
// A machine is never quiet twice in the same way. So all engines take turns: a round starts each of
// them once for a case, each round beginning with another engine, and what is compared is the time
// of one engine with that of another in the same round. The table shows the median time of each
// engine over the rounds, and the median of the rounds' ratios of ours to the best peer, the one
// with the lowest median: below 1, ours is faster. The time of an engine in a round is the mean of its
// calls, or by -stat their median or 99th percentile. An engine that runs into -timeout is left out of the
// further rounds of the case: MPICH over TCP does where ranks outnumber cores. Ours is out of place, as theirs is,
// but for broadcasts, which theirs only have in place.
//
// The peers' benchmarks in src measure as cmd/bench does (src/measure.h says how). -over says by which
// connections: tcp is TCP on the loopback interface, where ours runs by zmq:tcp, and by zmq:ipc beside
// it; shm is shared memory, as Open MPI and MPICH take it by themselves. Each kind has its own tables,
// as a socket is no peer of shared memory. The peers ompi-tcp-forced and ompi-shm-forced, which only -peers
// brings in, are Open MPI as one gets it by hand: every round runs all of its algorithms and counts the best.
//
// -plot draws the medians too. The package imports gonum/plot for that, else the standard library
// only, and knows the engines as programs that print JSON lines.
package main
