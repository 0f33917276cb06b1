package schedule

import (
	"fmt"
	"math"
	"slices"

	"github.com/tutti-ml/tutti/tensor"
)

// MaxElements is the most elements that a call may have in one buffer: far beyond any memory, and
// so low that no offset in bytes overflows.
const MaxElements = math.MaxInt >> 10

// ArgsError says which argument of a call cannot be.
type ArgsError struct {
	Collective Collective
	Rank       int
	// Field is the field of Args: "Count", "Counts[3]".
	Field  string
	Reason string
	Cause  error // a *tensor.CountError, or nil
}

// Error names collective, rank, field and what is wrong.
func (e *ArgsError) Error() string {
	return fmt.Sprintf("schedule: %s on rank %d: %s: %s", e.Collective, e.Rank, e.Field, e.Reason)
}

// Unwrap returns the cause.
func (e *ArgsError) Unwrap() error { return e.Cause }

// Check tells whether the arguments make a call of collective c, as far as one rank can know: the
// error is an *ArgsError. Fields that the collective does not use are not looked at. Builders rely
// on what it checks.
func (a Args) Check(c Collective) error {
	k := argsCheck{a: a, c: c}
	k.ranks()
	switch c {
	case AllReduce, Broadcast, Reduce, SendRecv:
		k.count()
	case Scatter, Gather, AllGather, ReduceScatter:
		k.counts("Counts", a.Counts)
	case AllToAll:
		k.count()
		k.counts("SendCounts", a.SendCounts)
		k.counts("RecvCounts", a.RecvCounts)
		k.allToAll()
	case Barrier:
	default:
		k.fail("Collective", "there is no such collective")
	}
	k.hosts()
	if k.err == nil {
		return nil
	}
	return k.err
}

// argsCheck keeps the first error that it finds; once there is one it looks no further.
type argsCheck struct {
	a   Args
	c   Collective
	err *ArgsError
}

func (k *argsCheck) fail(field, format string, args ...any) {
	if k.err == nil {
		k.err = &ArgsError{
			Collective: k.c, Rank: k.a.Rank, Field: field, Reason: fmt.Sprintf(format, args...),
		}
	}
}

func (k *argsCheck) ranks() {
	a := &k.a
	switch {
	case a.Size < 1:
		k.fail("Size", "%d: there must be at least one rank", a.Size)
	case a.Rank < 0 || a.Rank >= a.Size:
		k.fail("Rank", "%d is not in [0, %d)", a.Rank, a.Size)
	case k.c.Rooted() && (a.Root < 0 || a.Root >= a.Size):
		k.fail("Root", "%d is not in [0, %d)", a.Root, a.Size)
	}
}

func (k *argsCheck) count() {
	if n := k.a.Count; n < 0 || n > MaxElements {
		k.fail("Count", "%d is not in [0, %d]", n, MaxElements)
	}
}

func (k *argsCheck) counts(field string, counts []int) {
	if len(counts) != k.a.Size {
		k.fail(field, "%d counts for %d ranks", len(counts), k.a.Size)
	}
	total := 0
	for i, n := range counts {
		if n < 0 || n > MaxElements-total {
			k.fail(fmt.Sprintf("%s[%d]", field, i),
				"%d is not in [0, %d], with %d elements before it", n, MaxElements-total, total)
			if k.err.Cause == nil {
				k.err.Cause = &tensor.CountError{Index: i, Count: n, Before: total}
			}
			return
		}
		total += n
	}
}

// allToAll checks what only an AllToAll demands.
func (k *argsCheck) allToAll() {
	a := &k.a
	if k.err != nil {
		return
	}
	if s, r := a.SendCounts[a.Rank], a.RecvCounts[a.Rank]; s != r {
		k.fail("SendCounts", "%d elements for the rank itself, which expects %d", s, r)
	}
	if a.InPlace && !slices.Equal(a.SendCounts, a.RecvCounts) {
		k.fail("RecvCounts", "differ from SendCounts: in place, a block takes another one's place")
	}
	for i := range a.SendCounts {
		if a.Count > 0 && (a.SendCounts[i] != a.Count || a.RecvCounts[i] != a.Count) {
			k.fail("Count", "%d says that all blocks have this size, but rank %d is sent %d "+
				"and sends %d", a.Count, i, a.SendCounts[i], a.RecvCounts[i])
		}
	}
}

func (k *argsCheck) hosts() {
	h := k.a.Hosts
	if h == nil {
		return
	}
	if len(h) != k.a.Size {
		k.fail("Hosts", "%d hosts for %d ranks", len(h), k.a.Size)
	}
	known := 0
	for r, host := range h {
		switch {
		case host < 0 || host > known:
			k.fail(fmt.Sprintf("Hosts[%d]", r),
				"%d: hosts are numbered in the order of their first rank, the next is %d", host, known)
		case host == known:
			known++
		}
	}
}

// Elements returns the elements of the whole vector, over all ranks, that collective c works on.
// For AllToAll it is what this rank sends.
func (a Args) Elements(c Collective) int {
	counts := a.Counts
	switch c {
	case AllReduce, Broadcast, Reduce, SendRecv:
		return a.Count
	case AllToAll:
		counts = a.SendCounts
	case Barrier:
		return 0
	}
	return offsets(counts).Len()
}
