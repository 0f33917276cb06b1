package schedule

import "github.com/tutti-ml/tutti/topology"

// All-reduce by reducing each half of the vector up one of two binary trees and handing it down
// again, see doubletree.go. It pays log2 p latencies once, not for every block, and then runs at
// the speed of the links. With L = ceil(log2 p) and k segments per half:
//
//	rounds   4 (k - 1 + L)
//	bytes    2 (k - 1 + L)/k n, which goes to 2 n
//	reduced  (k - 1 + L)/k n
//	scratch  none
//
// Two ranks can be parent and child in one tree and child and parent in the other, so that a link
// carries one half up and the other one down. What goes down waits for what goes up everywhere;
// were they interleaved, the next chunk on its way up would wait for a chunk to go all the way up
// and down. So on such a link everything that goes up, group 0, comes before what goes down,
// group 1. Every rank's link is full in both phases, so nothing is lost.

var allReduceDoubleTree = &Algorithm{
	Collective: AllReduce, Name: doubleTree, Pipelined: true,
	Build: buildAllReduceDoubleTree,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		if a.Size == 1 {
			return topology.Cost{}
		}
		n, depth := bytesOf(AllReduce, a, elemBytes), topology.CeilLog2(a.Size)
		return plus(doubleTreeCost(n, depth, chunkBytes, true),
			doubleTreeCost(n, depth, chunkBytes, false))
	},
}

func buildAllReduceDoubleTree(a Args) *Program {
	p := newProgram(AllReduce, doubleTree, a)
	halves := evenly(a.Count, 2)
	p.Layouts[In], p.Layouts[Out] = halves, halves
	if p.alone() {
		return p
	}
	trees := topology.DoubleTree(a.Rank, a.Size)
	var sums [2]Span
	for t, tree := range trees {
		sums[t] = p.treeUp(0, t, tree, Out, tree.Parent < 0)
	}
	for t, tree := range trees {
		p.treeDown(1, t, tree, sums[t])
	}
	return p
}
