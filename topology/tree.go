package topology

// Tree is the place of one rank in a tree: its parent, -1 at the root, and its children.
type Tree struct {
	Parent   int
	Children []int
}

// Binomial returns the place of a rank in the binomial tree that starts at root. The ranks are
// numbered from the root on, rank root+v modulo size being v; the parent of v is v without its
// lowest set bit, so that the BinomialSpan(v, size) ranks below and with v are numbered one after
// the other. Children come largest subtree first: the order in which to send, and the reverse of
// the order in which they are done gathering.
func Binomial(rank, size, root int) Tree {
	want("rank", rank, size)
	want("root", root, size)
	v := (rank - root + size) % size
	low := v & -v
	t := Tree{Parent: -1}
	if v == 0 {
		low = 1 << CeilLog2(size)
	} else {
		t.Parent = (v - low + root) % size
	}
	for d := low / 2; d > 0; d /= 2 {
		if v+d < size {
			t.Children = append(t.Children, (v+d+root)%size)
		}
	}
	return t
}

// BinomialSpan returns how many ranks the subtree of the v-th rank from the root holds, itself
// included: those numbered v to v+BinomialSpan(v, size)-1.
func BinomialSpan(v, size int) int {
	want("rank", v, size)
	if v == 0 {
		return size
	}
	return min(v&-v, size-v)
}

// DoubleTree returns the place of a rank in two binary trees over the same ranks. Hardly a rank
// has children in both: none where size is even, at most one where it is odd. So a vector cut in
// halves, one for each tree, keeps every rank sending and receiving at full speed. Neither tree is
// deeper than CeilLog2(size). Children come lower subtree first.
//
// Source: P. Sanders, J. Speck, J. L. Träff, Two-tree Algorithms for Full Bandwidth Broadcast,
// Reduction and Scan, 2009: the second tree is the first one mirrored for even sizes and moved by
// one rank for odd sizes.
func DoubleTree(rank, size int) [2]Tree {
	want("rank", rank, size)
	first := inorder(rank, size)
	place := func(v int) int { return size - 1 - v }
	v := place(rank)
	if size%2 == 1 {
		place = func(v int) int { return (v + 1) % size }
		v = (rank + size - 1) % size
	}
	second := inorder(v, size)
	if second.Parent >= 0 {
		second.Parent = place(second.Parent)
	}
	for i, c := range second.Children {
		second.Children[i] = place(c)
	}
	return [2]Tree{first, second}
}

// inorder returns the place of v in a binary tree whose leaves are the odd numbers: the height of
// a node is the number of zeros that its number ends in, so that left subtree, node and right
// subtree are numbered in this order. Where a node or parent would be beyond the last number, the
// next one that exists takes its place. Number 0 stands above the whole tree with one child.
func inorder(v, size int) Tree {
	t := Tree{Parent: -1}
	if v == 0 {
		if size > 1 {
			t.Children = []int{1 << (CeilLog2(size) - 1)}
		}
		return t
	}
	low := v & -v
	if t.Parent = (v ^ low) | low<<1; t.Parent >= size {
		t.Parent = v ^ low
	}
	if low > 1 {
		t.Children = append(t.Children, v-low/2)
	}
	for d := low / 2; d > 0; d /= 2 {
		if v+d < size {
			t.Children = append(t.Children, v+d)
			break
		}
	}
	return t
}

// DoubleTreeRoots returns the ranks that have no parent in the first and in the second tree of
// DoubleTree.
func DoubleTreeRoots(size int) (first, second int) {
	want("size", 0, size)
	switch {
	case size%2 == 0:
		return 0, size - 1
	case size == 1:
		return 0, 0
	}
	return 0, 1
}
