package schedule

import (
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"testing"
)

// call is one call of all ranks, as the tests of the prover choose it.
type call struct {
	collective Collective
	size, root int
	pattern    int // of the counts
	inPlace    bool
	hosts      []int
}

func (c call) String() string {
	return fmt.Sprintf("%s size %d root %d pattern %d in place %v hosts %v",
		c.collective, c.size, c.root, c.pattern, c.inPlace, c.hosts)
}

// patterns is the number of count patterns: uneven with zeros, one element here and there, even,
// nothing at all, everything in one block.
const patterns = 5

// element counts of a vector and of a block in each pattern.
func (c call) vector() int {
	return [patterns]int{2*c.size + 1, c.size / 2, c.size, 0, 1}[c.pattern]
}

func (c call) block(r int) int {
	switch c.pattern {
	case 0:
		return (r*5 + 3) % 4
	case 1:
		return (r + 1) % 2
	case 2:
		return 1
	case 3:
		return 0
	}
	if r == c.size/2 {
		return 3
	}
	return 0
}

// pair is the block that rank i sends to rank j in an AllToAll. In place all pairs must be even.
func (c call) pair(i, j int) int {
	if c.inPlace {
		i, j = min(i, j), max(i, j)
	}
	switch c.pattern {
	case 0:
		return (i*3 + j*5) % 4
	case 1:
		return (i + j) % 2
	case 2:
		return 1
	case 3:
		return 0
	}
	if i == 0 && j == c.size-1 {
		return 3
	}
	return 0
}

// args returns the arguments of every rank.
func (c call) args() []Args {
	all := make([]Args, c.size)
	for r := range all {
		a := Args{Rank: r, Size: c.size, Root: c.root, InPlace: c.inPlace, Hosts: c.hosts}
		switch c.collective {
		case AllReduce, Broadcast, Reduce:
			a.Count = c.vector()
		case AllToAll:
			if c.pattern == 2 {
				a.Count = 1
			}
			for q := range c.size {
				a.SendCounts = append(a.SendCounts, c.pair(r, q))
				a.RecvCounts = append(a.RecvCounts, c.pair(q, r))
			}
		case Barrier:
		default:
			for q := range c.size {
				a.Counts = append(a.Counts, c.block(q))
			}
		}
		all[r] = a
	}
	return all
}

// build returns the programs of all ranks, nil when the algorithm does not apply.
func build(a *Algorithm, args []Args) []*Program {
	if a.Applies != nil && a.Applies(args[0]) != nil {
		return nil
	}
	programs := make([]*Program, len(args))
	for r := range args {
		programs[r] = a.Build(args[r])
	}
	return programs
}

// collectives are all that have algorithms.
var collectives = []Collective{
	AllReduce, Broadcast, Reduce, Scatter, Gather, AllGather, ReduceScatter, AllToAll, Barrier,
}

// roots calls do for every root that the collective distinguishes.
func roots(c Collective, size int, do func(root int)) {
	if !c.Rooted() {
		size = 1
	}
	for root := range size {
		do(root)
	}
}

// hostings are ways to spread size ranks over hosts: none told, blocks of equal size, uneven
// blocks, dealt out in turn, one rank a host.
func hostings(size int) [][]int {
	all := [][]int{nil}
	spread := func(host func(r int) int) {
		h := make([]int, size)
		for r := range h {
			h[r] = host(r)
		}
		for _, other := range all {
			if reflect.DeepEqual(other, h) {
				return
			}
		}
		all = append(all, h)
	}
	for g := 2; g <= size; g++ {
		if size%g == 0 && (g <= 4 || g == size/2) {
			spread(func(r int) int { return r / g })
			spread(func(r int) int { return r % (size / g) })
		}
	}
	spread(func(r int) int { return min(1, r/max(1, size/3)) })
	spread(func(r int) int { return r })
	return all
}

// usesHosts reports whether the algorithm looks at Args.Hosts at all.
func usesHosts(a *Algorithm) bool {
	for _, size := range []int{4, 6, 8} {
		c := call{collective: a.Collective, size: size, pattern: 2}
		plain := build(a, c.args())
		for _, h := range hostings(size)[1:] {
			c.hosts = h
			if !reflect.DeepEqual(build(a, c.args()), plain) {
				return true
			}
		}
	}
	return false
}

// inParallel calls do for 0...n-1 from as many goroutines as there are cores, until t fails.
func inParallel(t *testing.T, n int, do func(i int)) {
	t.Helper()
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				if !t.Failed() {
					do(i)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// allAlgorithms lists the whole registry.
func allAlgorithms() (all []*Algorithm) {
	for _, c := range collectives {
		all = append(all, Algorithms(c)...)
	}
	return all
}

// title names an algorithm in test output.
func title(a *Algorithm) string { return a.Collective.String() + "/" + a.Name }
