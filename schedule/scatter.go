package schedule

var scatterAlgorithms = []*Algorithm{
	scatterBinomial,
	scatterLinear,
}

// newScatter starts the program of a scatter.
func newScatter(name string, a Args) *Program {
	p := newProgram(Scatter, name, a)
	if a.Rank == a.Root {
		p.Layouts[In] = offsets(a.Counts)
	}
	p.Layouts[Out] = Layout{0, a.Counts[a.Rank]}
	return p
}

// keepBlock puts the root's own block where it belongs: out of In in a scatter, into Out in a
// gather.
func (p *Program) keepBlock() {
	if p.Collective == Scatter {
		p.keep(p.all(Out), Span{In, p.Root, 1})
	} else {
		p.keep(Span{Out, p.Root, 1}, p.all(In))
	}
}
