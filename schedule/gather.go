package schedule

var gatherAlgorithms = []*Algorithm{
	gatherBinomial,
	gatherLinear,
}

// newGather starts the program of a gather.
func newGather(name string, a Args) *Program {
	p := newProgram(Gather, name, a)
	if a.Rank == a.Root {
		p.Layouts[Out] = offsets(a.Counts)
	}
	p.Layouts[In] = Layout{0, a.Counts[a.Rank]}
	return p
}
