package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// checkDeadlock looks for an order in which everything can be done although no link holds a frame
// back: a send and its receive are one event, which waits for what either of them waits for.
func (p *prover) checkDeadlock() error {
	waits := p.waits()
	p.order = make([]int32, 0, len(waits))
	var ready []int32
	free := func(g int32) {
		if other := p.partner[g]; other < 0 || waits[other] == 0 {
			ready = append(ready, g)
		}
	}
	for g := range waits {
		// Of a message whose ends are both free at the start, only the sender's is an event.
		if waits[g] == 0 && (p.partner[g] < 0 || p.op(int32(g)).Kind == Send) {
			free(int32(g))
		}
	}
	for len(ready) > 0 {
		g := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		p.order = append(p.order, g)
		p.release(g, waits, free)
		if other := p.partner[g]; other >= 0 {
			p.release(other, waits, free)
		}
	}
	for g := range waits {
		if waits[g] > 0 {
			return p.failCycle(int32(g), waits)
		}
	}
	return nil
}

// failCycle follows unfinished operations back to what they wait for until it meets one again.
func (p *prover) failCycle(g int32, waits []int32) error {
	seen := map[int32]int{}
	var path []int32
	for {
		if at, again := seen[g]; again {
			path = path[at:]
			break
		}
		seen[g] = len(path)
		path = append(path, g)
		g = p.blocker(g, waits)
	}
	slices.Reverse(path)
	var b strings.Builder
	for _, g := range path {
		op := p.op(g)
		fmt.Fprintf(&b, "rank %d step %d (%s", p.rankOf[g], op.Step, op.Kind)
		if p.partner[g] >= 0 {
			fmt.Fprintf(&b, ", peer %d", op.Peer)
		}
		fmt.Fprintf(&b, ", chunk %d) -> ", op.Chunk)
	}
	fmt.Fprintf(&b, "rank %d step %d", p.rankOf[path[0]], p.op(path[0]).Step)
	return p.failOp(PropertyDeadlock, path[0], "each of these waits for the one before it: %s", &b)
}

// blocker returns an operation that g waits for, or the other end of g's message when that is
// what waits.
func (p *prover) blocker(g int32, waits []int32) int32 {
	if waits[g] == 0 {
		return p.partner[g]
	}
	r := p.rankOf[g]
	plan, base := p.plans[r], p.base[r]
	unfinished := func(h int32) bool {
		return waits[h] > 0 || (p.partner[h] >= 0 && waits[p.partner[h]] > 0)
	}
	for h := base; h < p.base[r+1]; h++ {
		if !unfinished(h) {
			continue
		}
		succ := plan.Succ[plan.SuccAt[h-base]:plan.SuccAt[h-base+1]]
		if p.follows[h] == g || slices.Contains(succ, g-base) {
			return h
		}
	}
	return p.partner[g]
}
