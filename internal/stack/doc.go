// Package stack makes the stacks of goroutines large before they are needed.
//
// A goroutine starts with 2 KiB and doubles its stack whenever a call does not fit: it then walks
// through all frames and copies them, and for each function on the way reads tables of the program
// that a fresh process has never touched. A client of Redis, a TCP dial, a decoder of JSON need 8
// to 16 KiB. In a process that joins a group at its start, growing stacks was a tenth of all its
// work. A stack that stays deep for nothing is halved by the garbage collector.
//
// The package imports nothing, and nothing but the runtime's stacks ever enters it.
package stack
