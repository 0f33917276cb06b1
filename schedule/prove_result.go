package schedule

import "slices"

// checkValues executes the programs, each message at one instant, and checks what every rank's
// Out then holds.
func (p *prover) checkValues() error {
	p.terms = newTerms(p.size)
	s := newStore(p)
	var buf []value
	for _, g := range p.order {
		other := p.partner[g]
		if other < 0 {
			if err := s.run(g, nil); err != nil {
				return err
			}
			continue
		}
		if p.op(g).Kind != Send {
			g, other = other, g
		}
		var err error
		if buf, err = s.message(g, buf[:0]); err != nil {
			return err
		}
		if err := s.run(other, buf); err != nil {
			return err
		}
	}
	p.result = s.results()
	for r := range p.result {
		if err := p.checkResult(r); err != nil {
			return err
		}
	}
	return p.checkTrees()
}

// results returns the content of every rank's Out, addressed from its start.
func (s *store) results() [][]run {
	all := make([][]run, len(s.space))
	for r := range all {
		pl := &s.p.place[r]
		lo := pl.start[Out]
		at := 0
		var c cells
		for _, v := range s.space[r][pl.space[Out]].read(lo, lo+pl.bytes[Out], nil) {
			c = c.join(run{at, at + v.n, v.t, v.index - at})
			at += v.n
		}
		all[r] = c
	}
	return all
}

// demand is what n bytes of Out must hold: the contribution of a rank from index on, or, where
// rank is -1, the completed combination of all ranks.
type demand struct{ n, rank, index int }

// demands lists what Out of rank r must hold.
func (p *prover) demands(r int) []demand {
	a, e := &p.o.Args[r], p.o.ElemBytes
	n := p.place[r].bytes[Out]
	before := func(counts []int, q int) int { return sum(counts[:q]) * e }
	switch p.programs[r].Collective {
	case AllReduce, Reduce:
		return []demand{{n, -1, 0}}
	case ReduceScatter:
		return []demand{{n, -1, before(a.Counts, r)}}
	case Broadcast:
		return []demand{{n, a.Root, 0}}
	case Scatter:
		return []demand{{n, a.Root, before(a.Counts, r)}}
	case Gather, AllGather:
		var all []demand
		for q := range a.Counts {
			if n > 0 {
				all = append(all, demand{a.Counts[q] * e, q, 0})
			}
		}
		return all
	case AllToAll:
		all := make([]demand, 0, p.size)
		for q := range p.size {
			all = append(all, demand{a.RecvCounts[q] * e, q, before(p.o.Args[q].SendCounts, r)})
		}
		return all
	}
	return nil
}

// checkResult compares Out of rank r with what it must hold.
func (p *prover) checkResult(r int) error {
	at, e := 0, p.o.ElemBytes
	for _, d := range p.demands(r) {
		for _, v := range cells(p.result[r]).read(at, at+d.n, nil) {
			problem := ""
			switch {
			case v.t == undefined:
				problem = "is undefined"
			case d.rank >= 0 && v.t != p.terms.single(d.rank):
				problem = "is of rank " + p.terms.text(v.t)
			case d.rank < 0 && !p.terms.whole(v.t):
				problem = "has only " + p.terms.text(v.t)
			case d.rank < 0 && p.size > 1 && !p.terms.completed(v.t):
				problem = "was never completed by a step with Last"
			}
			if problem != "" {
				return p.fail(PropertyValue, r, -1, "out at element %d %s", at/e, problem)
			}
			if v.index != d.index {
				return p.fail(PropertyValue, r, -1, "out at element %d holds element %d of the "+
					"contribution instead of %d", at/e, v.index/e, d.index/e)
			}
			at, d.index = at+v.n, d.index+v.n
		}
	}
	return nil
}

// checkTrees checks in which order contributions were combined: alike on all ranks of an
// AllReduce, and for a canonical algorithm as promised.
func (p *prover) checkTrees() error {
	c := p.programs[0].Collective
	if !c.Reduces() {
		return nil
	}
	for r := range p.result {
		if c == AllReduce && !slices.Equal(p.result[r], p.result[0]) {
			return p.fail(PropertyOrder, r, -1, "combines in another order than rank 0: %s",
				p.firstOther(r))
		}
		if !p.o.Canonical {
			continue
		}
		want := p.terms.canonical(p.o.Rounded)
		for _, v := range p.result[r] {
			if v.t != want {
				return p.fail(PropertyOrder, r, -1, "element %d is combined as %s instead of %s",
					v.lo/p.o.ElemBytes, p.terms.text(v.t), p.terms.text(want))
			}
		}
	}
	return nil
}

// firstOther shows where the orders of rank r and rank 0 differ.
func (p *prover) firstOther(r int) string {
	for i, v := range p.result[r] {
		if i < len(p.result[0]) && v != p.result[0][i] {
			return p.terms.text(v.t) + " and " + p.terms.text(p.result[0][i].t)
		}
	}
	return "one has more elements"
}
