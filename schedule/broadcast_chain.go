package schedule

import "github.com/tutti-ml/tutti/topology"

// Broadcast along the chain root, root+1, ..., root-1: every rank passes each chunk on as it comes.
// With k chunks:
//
//	rounds   p-2+k
//	bytes    (p-2+k)/k n, which goes to n, the least that is possible
//	scratch  none

const chain = "chain"

var broadcastChain = &Algorithm{
	Collective: Broadcast, Name: chain, Pipelined: true,
	Build: buildBroadcastChain,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		return chainCost(bytesOf(Broadcast, a, elemBytes), a.Size, chunkBytes)
	},
}

// chainCost is the cost of passing n bytes along all ranks in chunks.
func chainCost(n float64, size, chunkBytes int) topology.Cost {
	if size == 1 {
		return topology.Cost{}
	}
	return pipeline(n, segments(n, chunkBytes), size-1, 1)
}

func buildBroadcastChain(a Args) *Program {
	p := newBroadcast(chain, a, Layout{0, a.Count})
	if p.alone() {
		return p
	}
	t := fromRoot(a)
	vector := p.all(Out)
	if t.me == 0 {
		vector = p.all(In)
	}
	p.chainDown(0, t, vector)
	p.keepRoot()
	return p
}

// chainDown passes the vector of a team's first member on along the team. vector is where the
// caller has it, or gets it.
func (p *Program) chainDown(group int, t team, vector Span) {
	if t.me > 0 {
		p.recv(group, t.peer(t.me-1), vector)
	}
	if t.me < t.size-1 {
		p.send(group, t.peer(t.me+1), vector)
	}
}
