package schedule

import "slices"

// touched is a range of addresses that an operation reads or writes.
type touched struct {
	piece
	op    int32
	write bool
}

// checkRaces checks for each rank that operations that touch the same byte, one of them writing,
// are ordered by the plan's edges, the earlier step first. It cuts the address space at every
// range's ends and looks at each cut on its own, so it shares no thought with the derivation.
func (p *prover) checkRaces() error {
	for r := range p.plans {
		reach := newReach(p.plans[r])
		for space := range Buffers {
			if err := p.checkSpace(r, p.touches(r, space), reach); err != nil {
				return err
			}
		}
	}
	return nil
}

// touches lists what the operations of rank r touch in an address space, in their order; an
// operation's reads come before its write.
func (p *prover) touches(r, space int) []touched {
	list := make([]touched, 0, 2*len(p.plans[r].Ops))
	for i := range p.plans[r].Ops {
		op := &p.plans[r].Ops[i]
		for k, region := range [...]Region{op.A, op.B, op.Dst} {
			for _, piece := range region.Pieces {
				at, where := p.place[r].at(region.Buf, piece)
				if at == space && piece.Len > 0 {
					list = append(list, touched{where, int32(i), k == 2})
				}
			}
		}
	}
	return list
}

// checkSpace checks one address space of one rank.
func (p *prover) checkSpace(r int, list []touched, reach *reach) error {
	cuts := make([]int, 0, 2*len(list))
	for _, t := range list {
		cuts = append(cuts, t.lo, t.hi)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	type history struct {
		writer  int32 // -1: none
		readers []int32
	}
	cells := make([]history, len(cuts))
	for i := range cells {
		cells[i].writer = -1
	}
	checked := make([]int32, len(p.plans[r].Ops)) // checked[a] == b+1: a before b is known
	ordered := func(a, b int32) error {
		if a < 0 || a == b || checked[a] == b+1 {
			return nil
		}
		if !reach.leads(a, b) {
			x, y := &p.plans[r].Ops[a], &p.plans[r].Ops[b]
			return p.fail(PropertyRace, r, y.Step, "%s chunk %d touches bytes of step %d (%s "+
				"chunk %d), and nothing orders the two", y.Kind, y.Chunk, x.Step, x.Kind, x.Chunk)
		}
		checked[a] = b + 1
		return nil
	}
	for _, t := range list {
		first, _ := slices.BinarySearch(cuts, t.lo)
		for k := first; cuts[k] < t.hi; k++ {
			cell := &cells[k]
			if err := ordered(cell.writer, t.op); err != nil {
				return err
			}
			if !t.write {
				cell.readers = append(cell.readers, t.op)
				continue
			}
			for _, reader := range cell.readers {
				if err := ordered(reader, t.op); err != nil {
					return err
				}
			}
			cell.writer, cell.readers = t.op, cell.readers[:0]
		}
	}
	return nil
}

// reach answers whether one operation of a plan leads to another along the plan's edges.
type reach struct {
	plan  *Plan
	seen  []int32
	query int32
	stack []int32
}

func newReach(plan *Plan) *reach { return &reach{plan: plan, seen: make([]int32, len(plan.Ops))} }

func (r *reach) after(a int32) []int32 {
	return r.plan.Succ[r.plan.SuccAt[a]:r.plan.SuccAt[a+1]]
}

func (r *reach) leads(a, b int32) bool {
	if slices.Contains(r.after(a), b) {
		return true
	}
	r.query++
	r.stack = append(r.stack[:0], a)
	for len(r.stack) > 0 {
		x := r.stack[len(r.stack)-1]
		r.stack = r.stack[:len(r.stack)-1]
		for _, y := range r.after(x) {
			if y == b {
				return true
			}
			if r.seen[y] != r.query {
				r.seen[y] = r.query
				r.stack = append(r.stack, y)
			}
		}
	}
	return false
}
