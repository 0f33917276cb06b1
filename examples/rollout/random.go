package main

import (
	"encoding/binary"
	"math/rand/v2"
)

// purpose keeps apart what random numbers are for.
type purpose uint64

const (
	forParameters purpose = iota + 1
	forActing
	forShuffling
	forEvaluation
	forArrival
)

// stream returns the random numbers of one purpose of one actor at one version of the parameters.
// None of them depends on what was drawn before: whoever computes a thing again, after a crash or
// in another process, draws the same numbers.
func stream(seed uint64, p purpose, actor, version int) *rand.Rand {
	var key [32]byte
	for i, word := range []uint64{seed, uint64(p), uint64(actor), uint64(version)} {
		binary.LittleEndian.PutUint64(key[8*i:], word)
	}
	return rand.New(rand.NewChaCha8(key))
}
