package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce along the chain root-1, ..., root+1, root: every rank combines each chunk with its own and
// passes it on. With k chunks:
//
//	rounds   p-2+k
//	bytes    (p-2+k)/k n, which goes to n, the least that is possible
//	reduced  the same
//	scratch  n on ranks inside the chain

var reduceChain = &Algorithm{
	Collective: Reduce, Name: chain, Pipelined: true,
	Build: buildReduceChain,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		c := chainCost(bytesOf(Reduce, a, elemBytes), a.Size, chunkBytes)
		c.Reduced = c.Bytes
		return c
	},
}

func buildReduceChain(a Args) *Program {
	p, acc := newReduce(chain, a, Layout{0, a.Count})
	if p.alone() {
		return p
	}
	t := fromRoot(a)
	sum := p.all(In)
	if t.me < t.size-1 {
		if acc == Scratch {
			p.Layouts[Scratch] = p.Layouts[In]
		}
		sum = p.all(acc)
		p.recvReduce(0, t.peer(t.me+1), sum, p.all(In), reduction{last: t.me == 0})
	}
	if t.me > 0 {
		p.send(0, t.peer(t.me-1), sum)
	}
	return p
}
