// Command rpc compares the round trips of package proxy with those of gRPC-go, over sockets of this
// host, and prints a table; -json prints a line for each measurement instead.
//
//	make bench-rpc
//	go -C scripts/rpc run . -rounds 5 -time 300ms -cases send,flight,scatter,broadcast,join
//
// Each engine runs as one master and one worker, or four, each a process of its own. A machine is
// never quiet twice in the same way, so all engines take turns: a round starts new processes, and
// in it each case is measured with one engine after the other, each case beginning with another
// one. The table has the medians over the rounds, and the medians of the ratios within a round.
//
// The engines:
//
//	auto         proxy, as it is by default: inside a host through shared memory
//	zmq:ipc      proxy over Unix sockets
//	zmq:tcp      proxy over TCP, through the loopback interface
//	grpc:unix    gRPC-go, unary calls, over a Unix socket
//	grpc:tcp     gRPC-go, unary calls, over TCP through the loopback interface
//
// The patterns. A round trip is a message and the reply to it, which is empty ("ack") or has the
// same body ("echo"). Bodies are bytes, in gRPC of a codec that leaves them as they are, without
// Protocol Buffers; what is received is one stretch of memory in either. In proxy it is given back
// when it has been looked at (Message.Release); gRPC-go keeps pools of its own.
//
//	send       round trips with one worker, one at a time
//	flight     256 goroutines that send to one worker, round trips of all of them
//	isend      256 round trips under way at once, of one goroutine: ISend, ReceiveByID; gRPC-go has
//	           no calls like these, so it is compared as in flight
//	scatter    a body of its own to each of four workers, and their replies; gRPC: four calls at once
//	broadcast  one body to all four workers, and their replies; gRPC: four calls at once
//	join       from when five running processes are told to start, one master and four workers, until
//	           Join has returned in the last; gRPC is told the addresses, proxy finds them in a
//	           store, served by the process that measures. It is the first Join of each process; the
//	           start of the processes is not in it, as in MARO's figure
//
// The column "MARO" has what is published of Microsoft MARO 0.3.2a4 (maro.communication), as it was
// measured elsewhere: figures of another machine, for the order of magnitude.
//
// The second table has the processor time of all components for a round trip, or to join: it says
// what an engine costs, moved less by what else the machine does than rates are.
//
// With RPC_PROFILE=PATH each component writes the profile of its processor time to
// PATH.ENGINE.INDEX.
//
// The package is a module of its own, so that gRPC does not enter Tutti's.
package main
