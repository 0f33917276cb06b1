package topology

// Skips returns the distances s[0] = 1 < s[1] < ... < s[q] = size of the circulant graph in which
// every rank r has the neighbours r+s[k] and r-s[k] modulo size, for k < q = CeilLog2(size). They
// halve, rounded up, from size down to 1, so that q rounds reach all ranks for every size, not
// only for powers of two.
//
// Source: J. L. Träff, Optimal, Non-pipelined Reduce-scatter and Allreduce Algorithms, 2024.
func Skips(size int) []int {
	q := CeilLog2(size)
	s := make([]int, q+1)
	for s[q] = size; q > 0; q-- {
		s[q-1] = (s[q] + 1) / 2
	}
	return s
}
