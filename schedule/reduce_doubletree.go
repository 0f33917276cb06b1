package schedule

import "github.com/tutti-ml/tutti/topology"

// Reduce of each half of the vector up one of two binary trees over the other ranks, see
// doubletree.go. With the depth h = 1 + ceil(log2 (p-1)) and k segments per half:
//
//	rounds   2 (k - 1 + h)
//	bytes    (k - 1 + h)/k n, which goes to n, the least that is possible
//	reduced  the same
//	scratch  n/2, for the tree in which a rank has children, the root apart; n on the one rank that
//	         may have children in both where p is even

var reduceDoubleTree = &Algorithm{
	Collective: Reduce, Name: doubleTree, Pipelined: true,
	Build: buildReduceDoubleTree,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		if a.Size == 1 {
			return topology.Cost{}
		}
		n := bytesOf(Reduce, a, elemBytes)
		return doubleTreeCost(n, 1+topology.CeilLog2(a.Size-1), chunkBytes, true)
	},
}

func buildReduceDoubleTree(a Args) *Program {
	halves := evenly(a.Count, 2)
	p, acc := newReduce(doubleTree, a, halves)
	if p.alone() {
		return p
	}
	trees := rootedTrees(a)
	if acc == Scratch {
		var sizes [2]int
		for t := range trees {
			if len(trees[t].Children) > 0 {
				sizes[t] = halves[t+1] - halves[t]
			}
		}
		p.Layouts[Scratch] = offsets(sizes[:])
	}
	for t, tree := range trees {
		p.treeUp(0, t, tree, acc, tree.Parent < 0)
	}
	return p
}
