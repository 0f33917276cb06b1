package schedule

import (
	"fmt"
	"slices"
)

// value is n bytes in a row: byte i is term t of byte index+i of the vectors that the ranks
// contributed, each rank's being its In.
type value struct {
	n     int
	t     term
	index int
}

// run is a value at an address.
type run struct {
	lo, hi int
	t      term
	shift  int // index of the contributed byte, less the address
}

// cells is the content of one address space: runs without gap or overlap, in order.
type cells []run

// read appends the values of [lo, hi).
func (c cells) read(lo, hi int, to []value) []value {
	if lo >= hi {
		return to
	}
	i, _ := slices.BinarySearchFunc(c, lo, func(r run, lo int) int {
		if r.hi <= lo {
			return -1
		}
		return 1
	})
	for ; lo < hi; i++ {
		end := min(hi, c[i].hi)
		to = append(to, value{end - lo, c[i].t, lo + c[i].shift})
		lo = end
	}
	return to
}

// write replaces what lies from lo on.
func (c *cells) write(lo int, values []value) {
	hi := lo
	for _, v := range values {
		hi += v.n
	}
	if lo == hi {
		return
	}
	reaches := func(r run, at int) int {
		if r.hi < at {
			return -1
		}
		return 1
	}
	// The runs that end at lo or start at hi are taken along, to be joined where they go on.
	i, _ := slices.BinarySearchFunc(*c, lo, reaches)
	j := i
	for j < len(*c) && (*c)[j].lo <= hi {
		j++
	}
	var room [8]run
	fresh := cells(room[:0])
	for _, r := range (*c)[i:j] {
		if r.lo < lo {
			r.hi = min(r.hi, lo)
			fresh = fresh.join(r)
		}
	}
	at := lo
	for _, v := range values {
		fresh = fresh.join(run{at, at + v.n, v.t, v.index - at})
		at += v.n
	}
	for _, r := range (*c)[i:j] {
		if r.hi > hi {
			r.lo = max(r.lo, hi)
			fresh = fresh.join(r)
		}
	}
	*c = slices.Replace(*c, i, j, fresh...)
}

// join appends a run, merging it with the last one when that goes on in it.
func (c cells) join(r run) cells {
	if r.lo >= r.hi {
		return c
	}
	if r.t == undefined {
		r.shift = 0
	}
	if n := len(c); n > 0 && c[n-1].t == r.t && c[n-1].shift == r.shift && c[n-1].hi == r.lo {
		c[n-1].hi = r.hi
		return c
	}
	return append(c, r)
}

// store is the memory of all ranks during one execution.
type store struct {
	p     *prover
	space [][Buffers]cells // by rank

	a, b, out []value // reused by step
}

// newStore fills every rank's In with its own contribution and leaves all else undefined.
func newStore(p *prover) *store {
	s := &store{p: p, space: make([][Buffers]cells, p.size)}
	for r := range s.space {
		pl := &p.place[r]
		var extent [Buffers]int
		for b, space := range pl.space {
			extent[space] = max(extent[space], pl.start[b]+pl.bytes[b])
		}
		for space, end := range extent {
			s.space[r][space] = s.space[r][space].join(run{0, end, undefined, 0})
		}
		in := value{pl.bytes[In], p.terms.single(r), 0}
		s.space[r][pl.space[In]].write(pl.start[In], []value{in})
	}
	return s
}

// load appends the values of a region of rank r.
func (s *store) load(r int32, region Region, to []value) []value {
	for _, piece := range region.Pieces {
		space, at := s.p.place[r].at(region.Buf, piece)
		to = s.space[r][space].read(at.lo, at.hi, to)
	}
	return to
}

// save writes values to a region of rank r.
func (s *store) save(r int32, region Region, values []value) {
	for _, piece := range region.Pieces {
		if piece.Len == 0 {
			continue
		}
		var head []value
		head, values = cutValues(values, piece.Len)
		space, at := s.p.place[r].at(region.Buf, piece)
		s.space[r][space].write(at.lo, head)
	}
}

// cutValues splits values after n bytes. It may change values.
func cutValues(values []value, n int) (head, tail []value) {
	for i := range values {
		if n < values[i].n {
			v := values[i]
			head = append(slices.Clone(values[:i]), value{n, v.t, v.index})
			values[i] = value{v.n - n, v.t, v.index + n}
			return head, values[i:]
		}
		if n -= values[i].n; n == 0 {
			return values[:i+1], values[i+1:]
		}
	}
	return values, nil
}

// run executes operation g; a receive takes message, which it may change.
func (s *store) run(g int32, message []value) error {
	p, op, r := s.p, s.p.op(g), s.p.rankOf[g]
	switch op.Kind {
	case Recv:
		s.save(r, op.Dst, message)
		return nil
	case Copy:
		s.a = s.load(r, op.A, s.a[:0])
		if err := p.defined(g, s.a); err != nil {
			return err
		}
		s.save(r, op.Dst, s.a)
		return nil
	case RecvReduce:
		s.a = s.load(r, op.A, s.a[:0])
	case LocalReduce:
		s.a, s.b = s.load(r, op.A, s.a[:0]), s.load(r, op.B, s.b[:0])
		message = s.b
	}
	if err := s.combine(g, op, s.a, message); err != nil {
		return err
	}
	s.save(r, op.Dst, s.out)
	return nil
}

// combine sets out to a op b, or b op a with Left.
func (s *store) combine(g int32, op *Op, a, b []value) error {
	t := s.p.terms
	s.out = s.out[:0]
	var x, y value
	for len(a) > 0 || x.n > 0 {
		if x.n == 0 {
			x, a = a[0], a[1:]
		}
		if y.n == 0 {
			y, b = b[0], b[1:]
		}
		n := min(x.n, y.n)
		l, r := x.t, y.t
		if s.p.o.Rounded && (op.Mirrored || s.p.o.Canonical) {
			l, r = t.round(l), t.round(r)
		}
		if op.Left {
			l, r = r, l
		}
		z, problem := t.combine(l, r)
		if problem == "" && x.index != y.index {
			problem = fmt.Sprintf("combines elements %d and %d of the vector",
				x.index/s.p.o.ElemBytes, y.index/s.p.o.ElemBytes)
		}
		if problem == "" && op.Last {
			z, problem = t.complete(z)
			if s.p.o.Rounded && problem == "" {
				z = t.round(z)
			}
		}
		if problem != "" {
			return s.p.failOp(PropertyValue, g, "%s", problem)
		}
		s.out = append(s.out, value{n, z, x.index})
		x.n, x.index, y.n, y.index = x.n-n, x.index+n, y.n-n, y.index+n
	}
	return nil
}

// defined fails where undefined memory is read; the elements of a barrier carry no meaning.
func (p *prover) defined(g int32, values []value) error {
	for _, v := range values {
		if v.t == undefined && p.programs[0].Collective != Barrier {
			return p.failOp(PropertyValue, g, "reads undefined memory")
		}
	}
	return nil
}

// message reads what operation g sends.
func (s *store) message(g int32, to []value) ([]value, error) {
	to = s.load(s.p.rankOf[g], s.p.op(g).A, to)
	if s.p.o.Rounded {
		for i := range to {
			to[i].t = s.p.terms.round(to[i].t)
		}
	}
	return to, s.p.defined(g, to)
}
