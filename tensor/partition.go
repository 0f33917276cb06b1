package tensor

import (
	"fmt"
	"math"
)

const maxInt = math.MaxInt

// Partition cuts n elements into p blocks as even as can be and returns the p+1 offsets: block i is
// [offsets[i], offsets[i+1]). The first n mod p blocks have one element more than the others;
// blocks are empty where n < p. All ranks compute the same offsets from the same n and p.
// It panics if n is negative or p is not positive: both come from the program, not from a peer.
func Partition(n, p int) []int {
	if n < 0 || p < 1 {
		panic(fmt.Sprintf("tensor: Partition(%d, %d): want n >= 0 and p >= 1", n, p))
	}
	offsets := make([]int, p+1)
	size, longer := n/p, n%p
	for i := range p {
		offsets[i+1] = offsets[i] + size
		if i < longer {
			offsets[i+1]++
		}
	}
	return offsets
}

// Offsets returns the len(counts)+1 prefix sums of uneven counts: block i is
// [offsets[i], offsets[i+1]) and the last offset is the total. The error is a [*CountError].
func Offsets(counts []int) ([]int, error) {
	offsets := make([]int, len(counts)+1)
	for i, c := range counts {
		if c < 0 || c > maxInt-offsets[i] {
			return nil, &CountError{Index: i, Count: c, Before: offsets[i]}
		}
		offsets[i+1] = offsets[i] + c
	}
	return offsets, nil
}

// CountError says which count makes a list of counts unusable: it is negative, or the total up to
// and with it is more than an int holds.
type CountError struct {
	Index  int // position in the list: the rank whose block it is
	Count  int // the count found there
	Before int // the sum of the counts before it
}

// Error names position, count and what is wrong with it.
func (e *CountError) Error() string {
	if e.Count < 0 {
		return fmt.Sprintf("tensor: counts[%d] is %d: a count cannot be negative", e.Index, e.Count)
	}
	return fmt.Sprintf("tensor: counts[%d] is %d: with the %d elements before it, it overflows int",
		e.Index, e.Count, e.Before)
}
