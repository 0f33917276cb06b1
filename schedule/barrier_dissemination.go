package schedule

import "github.com/tutti-ml/tutti/topology"

// Barrier by dissemination: in round k = 0, 1, ..., every rank r sends a token to r+2^k once the
// tokens of the rounds before have come. After round k it has heard, at first or second hand, of
// the 2^(k+1)-1 ranks before it. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    L tokens of one element
//	scratch  L + 1 tokens
//
// Steps are ordered by the memory they touch, so a message without elements would wait for nothing.
// The token, whose content nobody looks at, is what makes a round wait: each arrives in a place of
// its own, for else its receive would wait for the send of the same round, and is then copied over
// the one to send.
//
// Source: D. Hensgen, R. Finkel, U. Manber, Two algorithms for barrier synchronization, 1988.

const dissemination = "dissemination"

var barrierDissemination = &Algorithm{
	Collective: Barrier, Name: dissemination,
	Build: func(a Args) *Program {
		p := newProgram(Barrier, dissemination, a)
		t := everyone(a)
		l := topology.CeilLog2(a.Size)
		token := Span{Scratch, 0, 1}
		if l > 0 {
			p.Layouts[Scratch] = evenly(l+1, l+1)
		}
		for k := range l {
			arrived := Span{Scratch, k + 1, 1}
			p.send(k, t.peer(a.Rank+1<<k), token)
			p.recv(k, t.peer(a.Rank-1<<k), arrived)
			if k < l-1 {
				p.copy(token, arrived)
			}
		}
		return p
	},
	Cost: func(a Args, elemBytes, _ int) topology.Cost {
		return topology.Cost{Messages: rounds(a.Size), Bytes: rounds(a.Size) * float64(elemBytes)}
	},
}
