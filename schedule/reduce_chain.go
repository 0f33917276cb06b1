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
	if acc == Scratch && t.me < t.size-1 {
		p.Layouts[Scratch] = p.Layouts[In]
	}
	p.chainUp(0, t, p.all(In), p.all(acc), true)
	return p
}

// chainUp combines in along a team into its first member, from the last one on. The partial sum
// goes to acc, and last marks the first member's. It returns where the caller's sum is.
func (p *Program) chainUp(group int, t team, in, acc Span, last bool) Span {
	sum := in
	if t.me < t.size-1 {
		sum = acc
		p.recvReduce(group, t.peer(t.me+1), sum, in, reduction{last: last && t.me == 0})
	}
	if t.me > 0 {
		p.send(group, t.peer(t.me-1), sum)
	}
	return sum
}
