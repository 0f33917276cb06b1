package schedule

import (
	"slices"
	"testing"
)

// TestEveryAlgorithm proves every algorithm for every size to 64, every root, in place and out of
// place, with uneven counts.
func TestEveryAlgorithm(t *testing.T) {
	largest := 64
	if testing.Short() {
		largest = 24
	}
	for _, a := range allAlgorithms() {
		t.Run(title(a), func(t *testing.T) {
			t.Parallel()
			proofs := 0
			for _, c := range everyCall(a, largest) {
				proofs += proveCall(t, a, c, ProveOptions{})
			}
			if proofs == 0 {
				t.Fatalf("applies to no call")
			}
			t.Logf("%d proofs", proofs)
		})
	}
}

// everyCall lists the calls of TestEveryAlgorithm. To size 12 those are all combinations. Above that
// each root of a rooted call takes the next pattern of counts and the next way to spread ranks over
// hosts, in place and out of place; above 32 so does each size of an unrooted call, besides the
// uneven pattern that all of them have.
func everyCall(a *Algorithm, largest int) (calls []call) {
	hosted := usesHosts(a)
	for size := 1; size <= largest; size++ {
		spreads := hostings(size)
		if !hosted {
			spreads = spreads[:1]
		} else if size > 12 {
			spreads = slices.DeleteFunc(spreads, func(hosts []int) bool {
				even := call{collective: a.Collective, size: size, pattern: 2, hosts: hosts}
				return a.Applies != nil && a.Applies(even.args()[0]) != nil
			})
		}
		roots(a.Collective, size, func(root int) {
			for k := range patterns * 2 * len(spreads) {
				c := call{
					collective: a.Collective, size: size, root: root, pattern: k % patterns,
					inPlace: k/patterns%2 == 1, hosts: spreads[k/patterns/2],
				}
				turn := true
				switch {
				case a.Collective == Barrier:
					turn = c.pattern == 0
				case a.Collective.Rooted() && size > 12:
					turn = c.pattern == (root+size)%patterns && k/patterns/2 == root%len(spreads)
				case size > 32:
					turn = c.pattern == 0 || c.pattern == size%patterns && c.inPlace == (size%2 == 0)
				}
				if turn {
					calls = append(calls, c)
				}
			}
		})
	}
	return calls
}

// proveCall proves one call and returns 1, or 0 when the algorithm does not apply.
func proveCall(t *testing.T, a *Algorithm, c call, o ProveOptions) int {
	t.Helper()
	args := c.args()
	programs := build(a, args)
	if programs == nil {
		return 0
	}
	o.Args, o.Canonical = args, a.Canonical
	if _, err := Prove(programs, o); err != nil {
		t.Errorf("%s\n%v", c, err)
		t.FailNow()
	}
	return 1
}

// TestEveryAlgorithmInChunks proves what executors run: steps cut into chunks of one and of two
// elements, in random legal orders.
func TestEveryAlgorithmInChunks(t *testing.T) {
	largest := 17
	if testing.Short() {
		largest = 9
	}
	for _, a := range allAlgorithms() {
		t.Run(title(a), func(t *testing.T) {
			t.Parallel()
			hosted := usesHosts(a)
			for size := 1; size <= largest; size++ {
				spreads := hostings(size)
				if !hosted {
					spreads = spreads[:1]
				}
				for k, hosts := range spreads {
					for pattern := range patterns {
						c := call{
							collective: a.Collective, size: size, root: (size * 2 / 3) % size,
							pattern: pattern, inPlace: (size+pattern+k)%2 == 0, hosts: hosts,
						}
						if !a.Collective.Rooted() {
							c.root = 0
						}
						proveCall(t, a, c, ProveOptions{
							ElemBytes: 64, ChunkBytes: 64 * (1 + size%2),
							Orders: 2, Seed: uint64(size),
						})
					}
				}
			}
		})
	}
}

// TestLargeSizes samples sizes to 512: powers of two, their neighbours and odd ones in between.
func TestLargeSizes(t *testing.T) {
	sizes := []int{100, 127, 128, 129, 255, 384, 512}
	if testing.Short() {
		sizes = []int{100}
	}
	for _, a := range allAlgorithms() {
		t.Run(title(a), func(t *testing.T) {
			t.Parallel()
			hosted := usesHosts(a)
			for i, size := range sizes {
				c := call{collective: a.Collective, size: size, inPlace: i%2 == 1}
				if a.Collective.Rooted() {
					c.root = size * (i % 4) / 4
				}
				if hosted {
					spreads := hostings(size)
					c.hosts = spreads[i%len(spreads)]
				}
				proveCall(t, a, c, ProveOptions{})
			}
		})
	}
}
