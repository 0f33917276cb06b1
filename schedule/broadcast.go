package schedule

var broadcastAlgorithms = []*Algorithm{
	broadcastBinomial,
	broadcastScatterAllGather,
	broadcastChain,
	broadcastDoubleTree,
	broadcastHierarchical,
}

// newBroadcast starts the program of a broadcast whose vector is cut into the given blocks.
func newBroadcast(name string, a Args, blocks Layout) *Program {
	p := newProgram(Broadcast, name, a)
	p.Layouts[Out] = blocks
	if a.Rank == a.Root {
		p.Layouts[In] = blocks
	}
	return p
}

// keepRoot puts the vector into the root's Out.
func (p *Program) keepRoot() {
	if p.Rank == p.Root {
		p.keep(p.all(Out), p.all(In))
	}
}
