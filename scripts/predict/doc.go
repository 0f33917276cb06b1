// Command predict tells how near predictions of calls are to what the calls take:
//
//	go run ./scripts/predict -bench bin/bench -np 2,4,8 -drivers shm,zmq:tcp -- -op all -b 4 -e 16M -f 8
//
// It runs cmd/bench -explain, once in each round for each driver and number of ranks in turn, so that
// whatever else the machine does falls on all of them. Each run measures the links anew. Arguments
// behind -- are bench's. Of each point, that is an operation and a size, the median over the rounds
// of predicted to measured time counts; it is near when that is between a half and two. Printed are the shares
// of near points by driver, ranks and operation, and each point that was far off on the same side
// in every round: that is an error of the model, where the others are noise.
//
// -under puts a command before bench. On a machine that others use, "chrt -r 1" lets the ranks have
// the cores while they measure.
//
// The package imports the standard library only, and knows bench as a program that prints JSON lines.
package main
