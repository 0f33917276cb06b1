package topology

// Ring returns the neighbours of a rank on the ring 0, 1, ..., size-1, 0: the rank before it and
// the rank after it. In a ring of two both are the other rank, in a ring of one the rank itself.
func Ring(rank, size int) (prev, next int) {
	want("rank", rank, size)
	return (rank + size - 1) % size, (rank + 1) % size
}
