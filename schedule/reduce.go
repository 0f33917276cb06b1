package schedule

var reduceAlgorithms = []*Algorithm{
	reduceBinomial,
	reduceScatterGather,
	reduceChain,
	reduceDoubleTree,
	reduceHierarchical,
}

// newReduce starts the program of a reduce whose vector is cut into the given blocks. It returns
// the buffer in which partial sums grow: Out at the root, scratch elsewhere.
func newReduce(name string, a Args, blocks Layout) (*Program, Buffer) {
	p := newProgram(Reduce, name, a)
	p.Layouts[In] = blocks
	if a.Rank == a.Root {
		p.Layouts[Out] = blocks
		return p, Out
	}
	return p, Scratch
}
