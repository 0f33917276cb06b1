package schedule

import (
	"math/rand/v2"
	"slices"
)

// checkOrders executes the programs in random legal orders and demands the result of the first.
// Here links hold frames: a send happens at any time after what it depends on, its receive at any
// time after it.
func (p *prover) checkOrders() error {
	for k := range p.o.Orders {
		s, err := p.execute(p.random(k))
		if err != nil {
			return err
		}
		for r, got := range s.results() {
			if !slices.Equal(got, p.result[r]) {
				return p.fail(PropertyRace, r, -1, "another legal order (seed %d, order %d) gives "+
					"another result", p.o.Seed, k)
			}
		}
	}
	return nil
}

// execute runs the programs in a random legal order.
func (p *prover) execute(random *rand.Rand) (*store, error) {
	s := newStore(p)
	waits := p.waits()
	for g := range waits {
		if op := p.op(int32(g)); op.Kind == Recv || op.Kind == RecvReduce {
			waits[g]++ // the frame
		}
	}
	var ready []int32
	free := func(g int32) { ready = append(ready, g) }
	for g := range waits {
		if waits[g] == 0 {
			free(int32(g))
		}
	}
	flight := map[int32][]value{} // frames on links, by their receive
	for len(ready) > 0 {
		k := random.IntN(len(ready))
		g := ready[k]
		ready[k] = ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		if p.op(g).Kind == Send {
			frame, err := s.message(g, nil)
			if err != nil {
				return nil, err
			}
			to := p.partner[g]
			flight[to] = frame
			if waits[to]--; waits[to] == 0 {
				free(to)
			}
		} else {
			if err := s.run(g, flight[g]); err != nil {
				return nil, err
			}
			delete(flight, g)
		}
		p.release(g, waits, free)
	}
	return s, nil
}
