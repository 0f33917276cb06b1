package topology

import "math/bits"

// CeilLog2 returns the least k with 2^k >= n: the rounds in which n ranks can all hear of each
// other, which is the lower bound of every collective. It panics unless n is positive.
func CeilLog2(n int) int {
	want("size", 0, n)
	return bits.Len(uint(n - 1))
}

// FloorLog2 returns the greatest k with 2^k <= n. It panics unless n is positive.
func FloorLog2(n int) int {
	want("size", 0, n)
	return bits.Len(uint(n)) - 1
}

// PowerOfTwo reports whether n is a power of two. It panics unless n is positive.
func PowerOfTwo(n int) bool {
	want("size", 0, n)
	return n&(n-1) == 0
}
