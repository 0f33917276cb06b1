package schedule

import "slices"

// checkContact checks that the links of the call connect all ranks: then any two ranks that are
// in different calls have neighbours between them that differ, and a frame between those two
// shows it.
func (p *prover) checkContact() error {
	reached := make([]bool, p.size)
	reached[0] = true
	stack := []int{0}
	for len(stack) > 0 {
		r := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, l := range p.plans[r].Links {
			if !reached[l.Peer] {
				reached[l.Peer] = true
				stack = append(stack, l.Peer)
			}
		}
	}
	if r := slices.Index(reached, false); r >= 0 {
		return p.fail(PropertyContact, r, -1, "no path of links leads to rank 0")
	}
	return nil
}

// contact lists the neighbours of every rank, in rising order.
func (p *prover) contact() [][]int {
	all := make([][]int, p.size)
	for r, plan := range p.plans {
		for _, l := range plan.Links {
			all[r] = append(all[r], l.Peer)
		}
		slices.Sort(all[r])
	}
	return all
}

// earlyLeavers lists the ranks that receive no frame.
func (p *prover) earlyLeavers() []int {
	var early []int
	for r, plan := range p.plans {
		receives := func(l Link) bool { return len(l.Recvs) > 0 }
		if p.size > 1 && !slices.ContainsFunc(plan.Links, receives) {
			early = append(early, r)
		}
	}
	return early
}
