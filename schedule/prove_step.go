package schedule

// Which spans a kind of step uses.
const (
	usesDst = 1 << iota
	usesA
	usesB
)

var spansOf = [...]int{
	Send: usesA, Recv: usesDst, RecvReduce: usesDst | usesA,
	LocalReduce: usesDst | usesA | usesB, Copy: usesDst | usesA,
}

// checkSteps checks every step on its own.
func (p *prover) checkSteps() error {
	for r, program := range p.programs {
		for i := range program.Steps {
			if err := p.checkStep(r, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *prover) checkStep(r, i int) error {
	s := &p.programs[r].Steps[i]
	if s.Kind < Send || s.Kind > Copy {
		return p.fail(PropertyShape, r, i, "unknown %s", s.Kind)
	}
	remote := s.Kind == Send || s.Kind == Recv || s.Kind == RecvReduce
	reduces := s.Kind == RecvReduce || s.Kind == LocalReduce
	switch {
	case remote && (s.Peer < 0 || s.Peer >= p.size || s.Peer == r):
		return p.fail(PropertyShape, r, i, "peer %d of %d ranks", s.Peer, p.size)
	case reduces && !p.programs[r].Collective.Reduces():
		return p.fail(PropertyShape, r, i, "a %s has no operation to reduce with",
			p.programs[r].Collective)
	case !reduces && (s.Left || s.Last || s.Mirrored):
		return p.fail(PropertyShape, r, i,
			"a %s combines nothing, yet has Left, Last or Mirrored", s.Kind)
	}
	return p.checkSpans(r, i)
}

// checkSpans checks that the spans of a step lie in their buffers, have one length, are written
// only where Out lies, and that no byte is written while another one's source.
func (p *prover) checkSpans(r, i int) error {
	s := &p.programs[r].Steps[i]
	spans := [3]Span{s.Dst, s.A, s.B}
	names := [3]string{"Dst", "A", "B"}
	var where [3]pieces
	length := -1
	for k, sp := range spans {
		if spansOf[s.Kind]&(1<<k) == 0 {
			if sp != (Span{}) {
				return p.fail(PropertyShape, r, i, "%s does not use %s", s.Kind, names[k])
			}
			continue
		}
		ps, problem := p.locate(r, sp)
		if problem != "" {
			return p.fail(PropertyShape, r, i, "%s: blocks [%d,+%d) of %s: %s",
				names[k], sp.Block, sp.N, sp.Buf, problem)
		}
		if length >= 0 && ps.len() != length {
			return p.fail(PropertyShape, r, i, "%s has %d bytes, the spans before it %d",
				names[k], ps.len(), length)
		}
		length, where[k] = ps.len(), ps
	}
	if spansOf[s.Kind]&usesDst == 0 {
		return nil
	}
	if s.Dst.Buf == In && !p.inOut(r, where[0]) {
		return p.fail(PropertyShape, r, i, "writes in where out does not lie over it")
	}
	for k := 1; k < len(spans); k++ {
		used := spansOf[s.Kind]&(1<<k) != 0
		if used && p.sameSpace(r, s.Dst, spans[k]) && where[k] != where[0] &&
			where[0].overlaps(where[k]) {
			return p.fail(PropertyShape, r, i, "Dst lies partly over %s", names[k])
		}
	}
	return nil
}

func (p *prover) sameSpace(r int, a, b Span) bool {
	return p.place[r].space[a.Buf] == p.place[r].space[b.Buf]
}

// locate returns the addresses of a span, or what is wrong with it.
func (p *prover) locate(r int, s Span) (ps pieces, problem string) {
	if s.Buf >= Buffers {
		return ps, "there is no such buffer"
	}
	l, pl := p.programs[r].Layouts[s.Buf], &p.place[r]
	n := l.Blocks()
	switch {
	case s.N < 0 || s.Block < 0 || s.N > n:
		return ps, "there are not so many"
	case s.N == 0:
		return ps, ""
	case s.Block >= n:
		return ps, "behind the last block"
	}
	address := func(block int) int { return pl.start[s.Buf] + l[block]*p.o.ElemBytes }
	tail := min(n, s.Block+s.N)
	ps[0] = piece{address(s.Block), address(tail)}
	if over := s.Block + s.N - n; over > 0 {
		ps[1] = piece{address(0), address(over)}
	}
	if ps[0].lo == ps[0].hi {
		ps[0], ps[1] = ps[1], piece{}
	}
	if ps[1].lo == ps[1].hi {
		ps[1] = piece{}
	}
	return ps, ""
}

// inOut reports whether addresses of In's space lie in Out too.
func (p *prover) inOut(r int, ps pieces) bool {
	pl := &p.place[r]
	for _, q := range ps {
		if q.lo == q.hi {
			continue
		}
		if pl.space[Out] != pl.space[In] || q.lo < pl.start[Out] ||
			q.hi > pl.start[Out]+pl.bytes[Out] {
			return false
		}
	}
	return true
}
