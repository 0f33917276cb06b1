package schedule

var reduceScatterAlgorithms = []*Algorithm{
	reduceScatterCirculant,
	reduceScatterRecursiveHalving,
	reduceScatterRing,
	reduceScatterHierarchical,
	reduceScatterDirect,
}

// newReduceScatter starts the program of a reduce-scatter.
func newReduceScatter(name string, a Args) *Program {
	p := newProgram(ReduceScatter, name, a)
	p.Layouts[In] = offsets(a.Counts)
	p.Layouts[Out] = Layout{0, a.Counts[a.Rank]}
	return p
}
