package schedule

// checkLinks pairs the frames of the two ends of every link, which must agree in the number, the
// order and the size of their frames.
func (p *prover) checkLinks() error {
	total := p.base[p.size]
	p.partner = make([]int32, total)
	p.follows = make([]int32, total)
	p.behind = make([]bool, total)
	for g := range p.partner {
		p.partner[g], p.follows[g] = -1, -1
	}
	ends := make([]map[int]*Link, p.size)
	for r, plan := range p.plans {
		ends[r] = make(map[int]*Link, len(plan.Links))
		for k := range plan.Links {
			ends[r][plan.Links[k].Peer] = &plan.Links[k]
		}
	}
	for r, plan := range p.plans {
		for k := range plan.Links {
			l := &plan.Links[k]
			var there Link
			if other := ends[l.Peer][r]; other != nil {
				there = *other
			}
			if err := p.pair(r, l.Peer, l.Sends, there.Recvs); err != nil {
				return err
			}
			if len(l.Recvs) != len(there.Sends) {
				return p.fail(PropertyShape, r, -1, "receives %d frames from rank %d, which sends "+
					"it %d", len(l.Recvs), l.Peer, len(there.Sends))
			}
		}
	}
	for g := range p.partner {
		op := p.op(int32(g))
		if local := op.Kind == LocalReduce || op.Kind == Copy; !local && p.partner[g] < 0 {
			return p.failOp(PropertyShape, int32(g), "the plan lists this %s on no link", op.Kind)
		}
	}
	return nil
}

// pair joins the sends of one rank with the receives of another. Steps that share a group must do
// so at both ends, or the order of their chunks would depend on how many there are.
func (p *prover) pair(from, to int, sends, recvs []int32) error {
	if len(sends) != len(recvs) {
		return p.fail(PropertyShape, from, -1, "sends %d frames to rank %d, which receives %d",
			len(sends), to, len(recvs))
	}
	var lastSend, lastRecv int32
	for i := range sends {
		s, t := p.base[from]+sends[i], p.base[to]+recvs[i]
		a, b := p.op(s), p.op(t)
		if a.Bytes() != b.Bytes() {
			return p.failOp(PropertyShape, s, "frame %d to rank %d has %d bytes, but %d in its "+
				"step %d", i, to, a.Bytes(), b.Bytes(), b.Step)
		}
		p.partner[s], p.partner[t] = t, s
		if i > 0 && (p.group(s) == p.group(lastSend)) != (p.group(t) == p.group(lastRecv)) {
			return p.failOp(PropertyShape, s, "frame %d to rank %d shares a group with the one "+
				"before it at one end only, so that chunks are not in one order", i, to)
		}
		if i > 0 {
			p.follows[lastSend], p.follows[lastRecv] = s, t
			p.behind[s], p.behind[t] = true, true
		}
		lastSend, lastRecv = s, t
	}
	return nil
}

// waits returns how many things each operation waits for: the operations that its memory depends
// on, and the frame before it on its link.
func (p *prover) waits() []int32 {
	waits := make([]int32, len(p.rankOf))
	for g := range waits {
		r := p.rankOf[g]
		waits[g] = p.plans[r].Indegree[int32(g)-p.base[r]]
		if p.behind[g] {
			waits[g]++
		}
	}
	return waits
}

// release calls free for each operation that waited for g alone.
func (p *prover) release(g int32, waits []int32, free func(int32)) {
	r := p.rankOf[g]
	plan, base := p.plans[r], p.base[r]
	arrive := func(h int32) {
		if waits[h]--; waits[h] == 0 {
			free(h)
		}
	}
	for _, succ := range plan.Succ[plan.SuccAt[g-base]:plan.SuccAt[g-base+1]] {
		arrive(base + succ)
	}
	if next := p.follows[g]; next >= 0 {
		arrive(next)
	}
}
