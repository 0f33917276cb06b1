package schedule

import (
	"fmt"

	"github.com/tutti-ml/tutti/topology"
)

// Barrier in one shot: every rank sends a token to every other one, and has heard of all at first hand. As
// in the all-reduce of that name no rank waits for what another one passes on.
//
//	rounds   p-1
//	bytes    p-1 tokens of one element
//	scratch  p tokens
//
// Each token arrives in a place of its own, for what is written to one place is written in an order.

var barrierOneShot = &Algorithm{
	Collective: Barrier, Name: oneShot, Applies: oneShotApplies,
	Build: func(a Args) *Program {
		p := newProgram(Barrier, oneShot, a)
		if p.alone() {
			return p
		}
		p.Layouts[Scratch] = evenly(a.Size, a.Size)
		t := everyone(a)
		for k := 1; k < a.Size; k++ {
			p.send(k, t.peer(a.Rank+k), Span{Scratch, 0, 1})
			p.recv(k, t.peer(a.Rank-k), Span{Scratch, k, 1})
		}
		return p
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		others := float64(a.Size - 1)
		return topology.Cost{Messages: others, Bytes: others * float64(elemBytes)}
	},
}

// oneShotMost is the most ranks that send to all others.
const oneShotMost = 64

func oneShotApplies(a Args) error {
	if a.Size > oneShotMost {
		return fmt.Errorf("%d ranks: each would send to all others; want at most %d", a.Size, oneShotMost)
	}
	return nil
}
