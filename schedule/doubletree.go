package schedule

import "github.com/tutti-ml/tutti/topology"

// The double binary tree phases, which several algorithms are made of. The vector is cut into two
// halves, block 0 for the first tree and block 1 for the second. No rank, or one, has children in
// both trees, so a rank sends and receives no more than the vector once per phase. Chunks follow
// each other through the trees: all steps of a phase share a group.
//
// A phase in k segments per half and trees of depth h takes 2 (k - 1 + h) turns of a segment each,
// since an inner rank serves two children in turn.
//
// Source: P. Sanders, J. Speck, J. L. Träff, Two-tree Algorithms for Full Bandwidth Broadcast,
// Reduction and Scan, 2009.

const doubleTree = "double-tree"

// treeUp combines block t of in, over all ranks below with the caller, and sends it to the parent.
// The partial sum grows in block t of acc, and last marks the root's. It returns where the sum is.
func (p *Program) treeUp(group, t int, tree topology.Tree, acc Buffer, last bool) Span {
	sum := Span{In, t, 1}
	for i, child := range tree.Children {
		next := Span{acc, t, 1}
		p.recvReduce(group, child, next, sum, reduction{
			left: child < p.Rank, last: last && i == len(tree.Children)-1,
		})
		sum = next
	}
	if tree.Parent >= 0 {
		p.send(group, tree.Parent, sum)
	}
	return sum
}

// treeDown hands block t on to the children: from, at the root, or what the parent sends.
func (p *Program) treeDown(group, t int, tree topology.Tree, from Span) {
	if tree.Parent >= 0 {
		from = Span{Out, t, 1}
		p.recv(group, tree.Parent, from)
	}
	for _, child := range tree.Children {
		p.send(group, child, from)
	}
}

// rootedTrees returns the caller's places in two trees that both start at the root of the call,
// and whose rest is a double tree over the other ranks.
func rootedTrees(a Args) [2]topology.Tree {
	others := a.Size - 1
	rank := func(i int) int { return (a.Root + 1 + i) % a.Size }
	if a.Rank == a.Root {
		first, second := topology.DoubleTreeRoots(others)
		return [2]topology.Tree{
			{Parent: -1, Children: []int{rank(first)}},
			{Parent: -1, Children: []int{rank(second)}},
		}
	}
	trees := topology.DoubleTree((a.Rank-a.Root-1+a.Size)%a.Size, others)
	for t := range trees {
		if trees[t].Parent >= 0 {
			trees[t].Parent = rank(trees[t].Parent)
		} else {
			trees[t].Parent = a.Root
		}
		for i, child := range trees[t].Children {
			trees[t].Children[i] = rank(child)
		}
	}
	return trees
}

// doubleTreeCost is the cost of one phase over n bytes through trees of the given depth.
func doubleTreeCost(n float64, depth, chunkBytes int, reduces bool) topology.Cost {
	c := pipeline(n/2, segments(n/2, chunkBytes), depth, 2)
	if reduces {
		c.Reduced = c.Bytes
	}
	return c
}
