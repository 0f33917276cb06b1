package schedule

var allReduceAlgorithms = []*Algorithm{
	allReduceRecursiveDoubling,
	// Before circulant, which costs as much where the size is a power of two: to swap with one partner
	// a round takes fewer turns of a crowded host's cores than to send to one and hear of another.
	allReduceButterfly,
	allReduceCirculant,
	allReduceRing,
	allReduceDirect,
	allReduceDoubleTree,
	allReduceHierarchical,
}
