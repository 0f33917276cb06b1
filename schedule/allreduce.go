package schedule

var allReduceAlgorithms = []*Algorithm{
	allReduceRecursiveDoubling,
	allReduceCirculant,
	allReduceButterfly,
	allReduceRing,
	allReduceDoubleTree,
	allReduceHierarchical,
}
