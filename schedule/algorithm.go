package schedule

import (
	"fmt"
	"strings"

	"github.com/tutti-ml/tutti/topology"
)

// Algorithm is one way to compute a collective.
type Algorithm struct {
	Collective Collective
	// Name is unique among the algorithms of its collective: "ring", "circulant".
	Name string
	// Build returns the program of rank a.Rank. It is a pure function of a. It may assume that
	// a passed Check and Applies.
	Build func(a Args) *Program
	// Applies tells why the algorithm cannot compute a call, nil when it can; it must give the
	// same answer on every rank. A nil Applies always applies.
	Applies func(a Args) error
	// Cost predicts what a call spends for elements of elemBytes when steps are cut into chunks
	// of chunkBytes. It must give the same answer on every rank.
	Cost func(a Args, elemBytes, chunkBytes int) topology.Cost
	// Canonical says that the order in which an element's contributions are combined depends
	// on Size alone, not on the element's place, Count or the algorithm: all canonical
	// algorithms of a collective give the same bits.
	Canonical bool
	// Pipelined says that steps share groups, so that the chunk size decides the speed.
	Pipelined bool
}

// registry lists every algorithm; the first one of a collective applies to every call.
var registry = [...][]*Algorithm{
	AllReduce:     allReduceAlgorithms,
	Broadcast:     broadcastAlgorithms,
	Reduce:        reduceAlgorithms,
	Scatter:       scatterAlgorithms,
	Gather:        gatherAlgorithms,
	AllGather:     allGatherAlgorithms,
	ReduceScatter: reduceScatterAlgorithms,
	AllToAll:      allToAllAlgorithms,
	Barrier:       barrierAlgorithms,
	SendRecv:      nil,
}

// Algorithms returns the algorithms of a collective, in the order of the registry. The slice must
// not be changed.
func Algorithms(c Collective) []*Algorithm {
	if int(c) >= len(registry) {
		return nil
	}
	return registry[c]
}

// Lookup finds an algorithm by name; the error lists the names there are.
func Lookup(c Collective, name string) (*Algorithm, error) {
	var names []string
	for _, a := range Algorithms(c) {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return nil, fmt.Errorf("schedule: %s has no algorithm %q: there are %s",
		c, name, strings.Join(names, ", "))
}
