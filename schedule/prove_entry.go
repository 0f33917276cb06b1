package schedule

import "math/bits"

// checkEntry checks of a barrier that the end of every rank's program depends on the start of
// every other's. What an operation depends on is what its memory depends on, the frame before it
// on its link and, of a receive, the send; a send learns nothing from its receive.
func (p *prover) checkEntry() error {
	if p.programs[0].Collective != Barrier {
		return nil
	}
	words := (p.size + 63) / 64
	known := make([]uint64, len(p.rankOf)*words) // by operation: the ranks it depends on
	learn := func(g, from int32) {
		for w := range words {
			known[int(g)*words+w] |= known[int(from)*words+w]
		}
	}
	pass := func(g int32) {
		known[int(g)*words+int(p.rankOf[g])/64] |= 1 << (p.rankOf[g] % 64)
		base, plan := p.base[p.rankOf[g]], p.plans[p.rankOf[g]]
		for _, succ := range plan.Succ[plan.SuccAt[g-base]:plan.SuccAt[g-base+1]] {
			learn(base+succ, g)
		}
		if p.follows[g] >= 0 {
			learn(p.follows[g], g)
		}
	}
	for _, g := range p.order {
		other := p.partner[g]
		if other >= 0 && p.op(g).Kind != Send {
			g, other = other, g
		}
		pass(g)
		if other >= 0 {
			learn(other, g)
			pass(other)
		}
	}
	for r := range p.plans {
		end := make([]uint64, words)
		end[r/64] |= 1 << (r % 64)
		for g := int(p.base[r]); g < int(p.base[r+1]); g++ {
			for w := range words {
				end[w] |= known[g*words+w]
			}
		}
		for q := range p.size {
			if end[q/64]&(1<<(q%64)) == 0 {
				n := 0
				for _, w := range end {
					n += bits.OnesCount64(w)
				}
				return p.fail(PropertyEntry, r, -1, "may leave before rank %d has entered: it "+
					"waits for %d of %d ranks", q, n, p.size)
			}
		}
	}
	return nil
}
