package topology_test

import (
	"slices"
	"testing"

	"github.com/tutti-ml/tutti/topology"
	"pgregory.net/rapid"
)

const sizes = 1024

// checkTree fails unless place describes one tree over all ranks: parents and children agree, there
// is one root and every rank hangs below it. It returns the root and the depth.
func checkTree(t rapid.TB, size int, place func(rank int) topology.Tree) (root, depth int) {
	t.Helper()
	root = -1
	parents := make([]int, size)
	children := make([][]int, size)
	for r := range size {
		tree := place(r)
		parents[r], children[r] = tree.Parent, tree.Children
		if tree.Parent < 0 {
			if root >= 0 {
				t.Fatalf("size %d: ranks %d and %d have no parent", size, root, r)
			}
			root = r
		}
	}
	if root < 0 {
		t.Fatalf("size %d: no root", size)
	}
	edges := 0
	for r := range size {
		for _, c := range children[r] {
			edges++
			if parents[c] != r {
				t.Fatalf("size %d: %d is a child of %d, but its parent is %d", size, c, r, parents[c])
			}
		}
		d := 0
		for v := r; parents[v] >= 0; v = parents[v] {
			if d++; d > size {
				t.Fatalf("size %d: rank %d is below itself", size, r)
			}
		}
		depth = max(depth, d)
	}
	if edges != size-1 {
		t.Fatalf("size %d: %d edges", size, edges)
	}
	return root, depth
}

func TestBinomial(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, sizes).Draw(t, "size")
		root := rapid.IntRange(0, size-1).Draw(t, "root")
		place := func(r int) topology.Tree { return topology.Binomial(r, size, root) }
		got, depth := checkTree(t, size, place)
		if got != root {
			t.Fatalf("root is %d", got)
		}
		if limit := topology.CeilLog2(size); depth > limit {
			t.Fatalf("depth %d is above %d", depth, limit)
		}
		for v := range size {
			tree := place((root + v) % size)
			// What is below v are its children's subtrees, which follow each other from v+1 on.
			next := v + topology.BinomialSpan(v, size)
			for _, c := range tree.Children {
				d := (c - root + size) % size
				if d+topology.BinomialSpan(d, size) != next {
					t.Fatalf("subtree of %d does not end at %d", d, next)
				}
				next = d
			}
			if next != v+1 {
				t.Fatalf("subtrees of %d start at %d", v, next)
			}
		}
	})
}

// TestBinomialRounds checks that a parent's i-th message goes out in a round in which it has the
// data: ranks that have got theirs in round k send in rounds above k.
func TestBinomialRounds(t *testing.T) {
	for size := 1; size <= sizes; size++ {
		have := make([]int, size) // the round after which a rank has the data
		for v := range size {
			round := have[v]
			for _, c := range topology.Binomial(v, size, 0).Children {
				round++
				have[c] = round
			}
		}
		if last := slices.Max(have); last > topology.CeilLog2(size) {
			t.Fatalf("size %d: %d rounds", size, last)
		}
	}
}

func TestDoubleTree(t *testing.T) {
	for size := 1; size <= sizes; size++ {
		for k := range 2 {
			root, depth := checkTree(t, size, func(r int) topology.Tree {
				tree := topology.DoubleTree(r, size)[k]
				if len(tree.Children) > 2 {
					t.Fatalf("size %d: rank %d has the children %v", size, r, tree.Children)
				}
				return tree
			})
			if depth > topology.CeilLog2(size) {
				t.Errorf("size %d: tree %d has depth %d", size, k, depth)
			}
			first, second := topology.DoubleTreeRoots(size)
			if want := [2]int{first, second}[k]; root != want {
				t.Errorf("size %d: tree %d starts at %d, not at %d", size, k, root, want)
			}
		}
		both := 0
		for r := range size {
			trees := topology.DoubleTree(r, size)
			if len(trees[0].Children) > 0 && len(trees[1].Children) > 0 {
				both++
			}
		}
		if both > size%2 {
			t.Errorf("size %d: %d ranks have children in both trees", size, both)
		}
	}
}

// TestDoubleTreeOrder checks that the first tree keeps the order of ranks: all ranks below a lower
// child are lower than the rank, all ranks below a higher child are higher.
func TestDoubleTreeOrder(t *testing.T) {
	for size := 1; size <= 200; size++ {
		var walk func(r int) (lo, hi int)
		walk = func(r int) (lo, hi int) {
			lo, hi = r, r
			for _, c := range topology.DoubleTree(r, size)[0].Children {
				below, above := walk(c)
				switch {
				case c < r && above == lo-1:
					lo = below
				case c > r && below == hi+1:
					hi = above
				default:
					t.Fatalf("size %d: below child %d of %d are ranks %d to %d", size, c, r, below, above)
				}
			}
			return lo, hi
		}
		if lo, hi := walk(0); lo != 0 || hi != size-1 {
			t.Fatalf("size %d: the tree holds ranks %d to %d", size, lo, hi)
		}
	}
}
