// Package topology knows the shapes along which ranks talk: rings, trees, circulant graphs, folds
// onto a power of two, and the hosts that ranks run on. It also holds what turns counts of
// messages and bytes into seconds: a model of one alpha, beta and gamma, and the measured fabric of
// two levels.
//
// Every function is pure: the answer depends on rank, size and, where it matters, root or hosts,
// so that all ranks compute matching answers without a message. Answers for one rank take
// O(log size) time and memory, except for what concerns hosts, which looks at every rank.
//
// Ranks are numbered from 0 to size-1. A rank, root or size outside its range is a mistake of the
// program, never something that a peer can cause, and panics.
//
// The package imports the standard library only. No buffer, schedule, link or communicator ever
// enters it.
package topology

import "fmt"

// want panics unless rank is one of size ranks.
func want(what string, rank, size int) {
	if size < 1 || rank < 0 || rank >= size {
		panic(fmt.Sprintf("topology: %s %d is not in [0, %d)", what, rank, size))
	}
}
