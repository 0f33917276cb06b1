package schedule

import "github.com/tutti-ml/tutti/topology"

// Barrier by dissemination: in round k = 0, 1, ..., every rank r sends an empty message to r+2^k
// once the messages of the rounds before have come. After round k it has heard, at first or second
// hand, of the 2^(k+1)-1 ranks before it. With L = ceil(log2 p):
//
//	rounds   L
//	bytes    none but headers
//	scratch  none
//
// Source: D. Hensgen, R. Finkel, U. Manber, Two algorithms for barrier synchronization, 1988.

const dissemination = "dissemination"

var barrierDissemination = &Algorithm{
	Collective: Barrier, Name: dissemination,
	Build: func(a Args) *Program {
		p := newProgram(Barrier, dissemination, a)
		t := everyone(a)
		for k := range topology.CeilLog2(a.Size) {
			p.send(k, t.peer(a.Rank+1<<k), Span{})
			p.recv(k, t.peer(a.Rank-1<<k), Span{})
		}
		return p
	},
	Cost: func(a Args, _, _ int) topology.Cost {
		return topology.Cost{Messages: rounds(a.Size)}
	},
}
