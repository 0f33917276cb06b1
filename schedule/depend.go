package schedule

import "slices"

// access is a run of bytes that has been touched alike: by one last writer and, since then, by
// some readers.
type access struct {
	lo, hi  int
	writer  int32 // -1: none yet
	readers []int32
}

// memory remembers who touched each byte of one address space.
type memory struct{ runs []access }

// split makes at a boundary between runs and returns the index of the run that starts there.
func (m *memory) split(at int) int {
	i, found := slices.BinarySearchFunc(m.runs, at, func(a access, at int) int {
		switch {
		case a.hi <= at:
			return -1
		case a.lo >= at:
			if a.lo == at {
				return 0
			}
			return 1
		}
		return 0
	})
	if !found || m.runs[i].lo == at {
		return i
	}
	right := m.runs[i]
	right.lo = at
	right.readers = slices.Clone(right.readers)
	m.runs[i].hi = at
	m.runs = slices.Insert(m.runs, i+1, right)
	return i + 1
}

// touch records that operation op reads or writes [lo, hi) and calls need for every earlier
// operation that must be done first.
func (m *memory) touch(op int32, lo, hi int, write bool, need func(int32)) {
	if lo >= hi {
		return
	}
	i, j := m.split(lo), 0
	j = m.split(hi)
	for k := i; k < j; k++ {
		r := &m.runs[k]
		if r.writer >= 0 {
			need(r.writer)
		}
		if !write {
			r.readers = append(r.readers, op)
			continue
		}
		for _, reader := range r.readers {
			need(reader)
		}
	}
	if write {
		m.runs = slices.Replace(m.runs, i, j, access{lo: lo, hi: hi, writer: op})
	}
}

// derive fills Indegree and the successor lists.
func (pl *Plan) derive(p *Program, elemBytes int) {
	shift := p.alias(elemBytes)
	var spaces [2]memory // the caller's memory, scratch
	far := p.extent(elemBytes)
	for i := range spaces {
		spaces[i].runs = []access{{lo: 0, hi: far, writer: -1}}
	}
	preds := make([][]int32, len(pl.Ops))
	for i := range pl.Ops {
		op := &pl.Ops[i]
		need := func(before int32) {
			if before != int32(i) && !slices.Contains(preds[i], before) {
				preds[i] = append(preds[i], before)
			}
		}
		touch := func(r Region, write bool) {
			space := 0
			if r.Buf == Scratch {
				space = 1
			}
			for _, pc := range r.Pieces {
				lo := pc.Off + shift[r.Buf]
				spaces[space].touch(int32(i), lo, lo+pc.Len, write, need)
			}
		}
		touch(op.A, false)
		touch(op.B, false)
		touch(op.Dst, true)
	}
	pl.link(preds)
}

// link turns lists of predecessors into counts and successor lists.
func (pl *Plan) link(preds [][]int32) {
	pl.Indegree = make([]int32, len(pl.Ops))
	pl.SuccAt = make([]int32, len(pl.Ops)+1)
	for i, ps := range preds {
		pl.Indegree[i] = int32(len(ps))
		for _, before := range ps {
			pl.SuccAt[before+1]++
		}
	}
	for i := range pl.Ops {
		pl.SuccAt[i+1] += pl.SuccAt[i]
	}
	pl.Succ = make([]int32, pl.SuccAt[len(pl.Ops)])
	fill := slices.Clone(pl.SuccAt)
	for i, ps := range preds {
		for _, before := range ps {
			pl.Succ[fill[before]] = int32(i)
			fill[before]++
		}
	}
}

// alias returns where each of the caller's buffers starts in one address space: apart from each
// other, or, in place, one over the other.
func (p *Program) alias(elemBytes int) (shift [Buffers]int) {
	in, out := p.Layouts[In], p.Layouts[Out]
	switch {
	case !p.InPlace:
		shift[Out] = in.Len() * elemBytes
	case p.Collective == Scatter || p.Collective == ReduceScatter:
		if in.Blocks() > p.Rank {
			shift[Out] = in[p.Rank] * elemBytes
		}
	case p.Collective == Gather || p.Collective == AllGather:
		if out.Blocks() > p.Rank {
			shift[In] = out[p.Rank] * elemBytes
		}
	}
	return shift
}

// extent is a bound on every address of the program's address spaces.
func (p *Program) extent(elemBytes int) int {
	n := 1
	for _, l := range p.Layouts {
		n += 2 * l.Len() * elemBytes
	}
	return n
}
