package schedule

import "github.com/tutti-ml/tutti/topology"

// Broadcast of each half of the vector down one of two binary trees over the other ranks, see
// doubletree.go. With the depth h = 1 + ceil(log2 (p-1)) and k segments per half:
//
//	rounds   2 (k - 1 + h)
//	bytes    (k - 1 + h)/k n, which goes to n, the least that is possible
//	scratch  none

var broadcastDoubleTree = &Algorithm{
	Collective: Broadcast, Name: doubleTree, Pipelined: true,
	Build: buildBroadcastDoubleTree,
	Cost: func(a Args, elemBytes, chunkBytes int) topology.Cost {
		if a.Size == 1 {
			return topology.Cost{}
		}
		n := bytesOf(Broadcast, a, elemBytes)
		return doubleTreeCost(n, 1+topology.CeilLog2(a.Size-1), chunkBytes, false)
	},
}

func buildBroadcastDoubleTree(a Args) *Program {
	p := newBroadcast(doubleTree, a, evenly(a.Count, 2))
	if p.alone() {
		return p
	}
	for t, tree := range rootedTrees(a) {
		p.treeDown(0, t, tree, Span{In, t, 1})
	}
	p.keepRoot()
	return p
}
