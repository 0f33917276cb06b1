package schedule

var allGatherAlgorithms = []*Algorithm{
	allGatherCirculant,
	allGatherRecursiveDoubling,
	allGatherRing,
	allGatherHierarchical,
	allGatherDirect,
}

// newAllGather starts the program of an all-gather and puts the rank's own block into Out. It is
// sent from In first, so that no message waits for the copy.
func newAllGather(name string, a Args) *Program {
	p := newProgram(AllGather, name, a)
	p.Layouts[In] = Layout{0, a.Counts[a.Rank]}
	p.Layouts[Out] = offsets(a.Counts)
	p.keep(Span{Out, a.Rank, 1}, p.all(In))
	return p
}
