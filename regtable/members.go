package regtable

import "slices"

// A Fact is what a table has to know of a message.
type Fact struct {
	Source     string // exact name of the peer that sent it
	SourceType string // type of that peer
	Tag        string
}

// Members tells a table which peers live now. The table asks at each check, so that percentages
// follow peers that leave and come back.
//
// The methods are called with the table locked: they must not call the table, nor wait for a lock
// that somebody holds who does. They may be called from any goroutine.
type Members interface {
	// Count returns how many peers of the type live; Wildcard asks for all peers of all types.
	Count(sourceType string) int
	// Has reports whether a peer of exactly this name lives.
	Has(name string) bool
	// Revision returns another number whenever Count or Has may answer differently than before.
	// It is called for every message and should cost no more than an atomic load.
	Revision() uint64
}

// Fixed is a membership that does not change: the names of the peers of each type. A name that is
// listed under two types counts twice for Wildcard.
type Fixed map[string][]string

// Count returns the number of names listed for the type, or for all types.
func (f Fixed) Count(sourceType string) int {
	if sourceType != Wildcard {
		return len(f[sourceType])
	}
	n := 0
	for _, names := range f {
		n += len(names)
	}
	return n
}

// Has reports whether the name is listed.
func (f Fixed) Has(name string) bool {
	for _, names := range f {
		if slices.Contains(names, name) {
			return true
		}
	}
	return false
}

// Revision returns 0: nothing changes.
func (f Fixed) Revision() uint64 { return 0 }
