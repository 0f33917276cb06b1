package schedule

import "slices"

// piece is a run of addresses.
type piece struct{ lo, hi int }

// pieces are the addresses of a span in its order; the second piece is used where the span goes
// over the end of its buffer.
type pieces [2]piece

func (ps pieces) len() int { return ps[0].hi - ps[0].lo + ps[1].hi - ps[1].lo }

func (ps pieces) overlaps(qs pieces) bool {
	for _, a := range ps {
		for _, b := range qs {
			if a.lo < b.hi && b.lo < a.hi && a.lo < a.hi && b.lo < b.hi {
				return true
			}
		}
	}
	return false
}

// placement tells where a rank's buffers lie: which address space and from which address on. Out
// of place each has a space of its own, in place In and Out share one.
type placement struct {
	space [Buffers]int
	start [Buffers]int
	bytes [Buffers]int
}

// at translates a piece of a buffer into addresses of its space.
func (pl *placement) at(buf Buffer, p Piece) (space int, where piece) {
	lo := pl.start[buf] + p.Off
	return pl.space[buf], piece{lo, lo + p.Len}
}

// checkCall checks that the programs are those of one call and that In and Out have the size that
// the call demands.
func (p *prover) checkCall() error {
	if p.size == 0 || len(p.o.Args) != p.size {
		return p.fail(PropertyShape, -1, -1, "%d programs for %d arguments", p.size, len(p.o.Args))
	}
	p.place = make([]placement, p.size)
	for r, program := range p.programs {
		if program == nil {
			return p.fail(PropertyShape, r, -1, "no program")
		}
		if err := p.checkSame(r); err != nil {
			return err
		}
		for b, l := range program.Layouts {
			if !slices.IsSorted(l) || (len(l) > 0 && l[0] != 0) {
				return p.fail(PropertyShape, r, -1, "layout of %s does not rise from 0: %v",
					Buffer(b), l)
			}
		}
		in, out, ok := bufferLens(program.Collective, p.o.Args[r])
		if !ok {
			return p.fail(PropertyShape, r, -1, "no proof is known for a %s", program.Collective)
		}
		got := [2]int{program.Layouts[In].Len(), program.Layouts[Out].Len()}
		if got != [2]int{in, out} {
			return p.fail(PropertyShape, r, -1, "in and out have %d and %d elements, the call has "+
				"%d and %d", got[0], got[1], in, out)
		}
		p.place[r] = p.placeBuffers(r)
	}
	return nil
}

// checkSame compares the heads of program and arguments of rank r with what rank 0 has.
func (p *prover) checkSame(r int) error {
	q, first := p.programs[r], p.programs[0]
	a, b := &p.o.Args[r], &p.o.Args[0]
	n := p.size
	switch {
	case q.Rank != r || a.Rank != r || q.Size != n || a.Size != n:
		return p.fail(PropertyShape, r, -1, "program of rank %d of %d and arguments of rank %d "+
			"of %d stand at place %d of %d", q.Rank, q.Size, a.Rank, a.Size, r, n)
	case q.Collective != first.Collective || q.Algorithm != first.Algorithm:
		return p.fail(PropertyShape, r, -1, "program is %s %s, rank 0 has %s %s",
			q.Collective, q.Algorithm, first.Collective, first.Algorithm)
	case q.Collective.Rooted() && (q.Root != a.Root || a.Root != b.Root):
		return p.fail(PropertyShape, r, -1, "program has root %d, its arguments %d, rank 0's %d",
			q.Root, a.Root, b.Root)
	case q.Collective.Rooted() && (a.Root < 0 || a.Root >= n):
		return p.fail(PropertyShape, r, -1, "root %d of %d ranks", a.Root, n)
	case q.InPlace != a.InPlace || a.InPlace != b.InPlace:
		return p.fail(PropertyShape, r, -1, "program in place: %v, its arguments: %v, rank 0's: %v",
			q.InPlace, a.InPlace, b.InPlace)
	case a.Count != b.Count || !slices.Equal(a.Counts, b.Counts):
		return p.fail(PropertyShape, r, -1, "arguments have other counts than rank 0's")
	}
	return p.checkCounts(r)
}

// checkCounts checks that the arguments have one count per rank where blocks are per rank.
func (p *prover) checkCounts(r int) error {
	a := &p.o.Args[r]
	switch p.programs[r].Collective {
	case Scatter, Gather, AllGather, ReduceScatter:
		if len(a.Counts) != p.size || slices.Min(a.Counts) < 0 {
			return p.fail(PropertyShape, r, -1, "counts %v for %d ranks", a.Counts, p.size)
		}
	case AllToAll:
		if len(a.SendCounts) != p.size || len(a.RecvCounts) != p.size {
			return p.fail(PropertyShape, r, -1, "%d send and %d receive counts for %d ranks",
				len(a.SendCounts), len(a.RecvCounts), p.size)
		}
		if slices.Min(a.SendCounts) < 0 || slices.Min(a.RecvCounts) < 0 {
			return p.fail(PropertyShape, r, -1, "counts below zero: %v, %v",
				a.SendCounts, a.RecvCounts)
		}
		for q := range r {
			b := &p.o.Args[q]
			if a.SendCounts[q] != b.RecvCounts[r] || b.SendCounts[r] != a.RecvCounts[q] {
				return p.fail(PropertyShape, r, -1, "counts for rank %d are not those it has", q)
			}
		}
	}
	return nil
}

// bufferLens returns the elements that the call demands of In and Out.
func bufferLens(c Collective, a Args) (in, out int, ok bool) {
	atRoot := func(n int) int {
		if a.Rank == a.Root {
			return n
		}
		return 0
	}
	switch c {
	case AllReduce:
		return a.Count, a.Count, true
	case Broadcast:
		return atRoot(a.Count), a.Count, true
	case Reduce:
		return a.Count, atRoot(a.Count), true
	case Scatter:
		return atRoot(sum(a.Counts)), a.Counts[a.Rank], true
	case Gather:
		return a.Counts[a.Rank], atRoot(sum(a.Counts)), true
	case AllGather:
		return a.Counts[a.Rank], sum(a.Counts), true
	case ReduceScatter:
		return sum(a.Counts), a.Counts[a.Rank], true
	case AllToAll:
		return sum(a.SendCounts), sum(a.RecvCounts), true
	case Barrier:
		return 0, 0, true
	}
	return 0, 0, false
}

func sum(counts []int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// placeBuffers decides where the caller's buffers of rank r lie.
func (p *prover) placeBuffers(r int) placement {
	program, a := p.programs[r], &p.o.Args[r]
	pl := placement{space: [Buffers]int{0, 1, 2}}
	for b, l := range program.Layouts {
		pl.bytes[b] = l.Len() * p.o.ElemBytes
	}
	if !a.InPlace {
		return pl
	}
	pl.space[Out] = 0
	own := 0
	if len(a.Counts) == p.size {
		own = sum(a.Counts[:r]) * p.o.ElemBytes
	}
	switch program.Collective {
	case ReduceScatter:
		pl.start[Out] = own
	case AllGather:
		pl.start[In] = own
	case Scatter:
		if r == a.Root {
			pl.start[Out] = own
		}
	case Gather:
		if r == a.Root {
			pl.start[In] = own
		}
	}
	return pl
}
