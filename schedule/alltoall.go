package schedule

var allToAllAlgorithms = []*Algorithm{
	allToAllPairwise,
	allToAllBruck,
	allToAllHierarchical,
}

// newAllToAll starts the program of an all-to-all.
func newAllToAll(name string, a Args) *Program {
	p := newProgram(AllToAll, name, a)
	p.Layouts[In] = offsets(a.SendCounts)
	p.Layouts[Out] = offsets(a.RecvCounts)
	return p
}
