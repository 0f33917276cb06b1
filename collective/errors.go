package collective

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tutti-ml/tutti/schedule"
)

// ErrClosed is the cause of every call on a communicator that this rank has closed.
var ErrClosed = errors.New("collective: the communicator is closed")

// ArgumentError is a call refused before anything was sent: the other ranks know nothing of it,
// and the communicator is as before.
type ArgumentError struct {
	Collective schedule.Collective
	Reason     string
	Remedy     string // "" when the reason says it all
	Err        error  // the cause, if there is one
}

func (e *ArgumentError) Error() string {
	s := fmt.Sprintf("collective: %s: %s", e.Collective, e.Reason)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *ArgumentError) Unwrap() error { return e.Err }

// MismatchError says that two ranks made different calls where all must make the same. It is
// returned on every rank of the communicator.
type MismatchError struct {
	RankA int
	CallA Call
	RankB int
	CallB Call
	Later []string // what went wrong after this, oldest first
}

func (e *MismatchError) Error() string {
	s := fmt.Sprintf("collective: ranks disagree: rank %d calls %s, rank %d calls %s",
		e.RankA, e.CallA, e.RankB, e.CallB)
	if d := e.CallA.difference(e.CallB); d != "" {
		s += ": " + d + " differ"
	}
	return s + "; all ranks must make the same calls in the same order" + later(e.Later)
}

// RankFailedError says that a rank is gone: its process died or the network between it and
// another rank broke. Every surviving rank returns it, with the same first cause.
type RankFailedError struct {
	Rank       int       // who is gone
	Host       string    // where it ran
	DetectedBy int       // the rank that saw it first
	Link       string    // the link that broke, as DetectedBy names it
	Call       Call      // what DetectedBy was in, zero Collective if between calls
	Time       time.Time // when, by the clock of DetectedBy
	Cause      string    // what DetectedBy saw
	Err        error     // the same as an error, on DetectedBy itself
	Later      []string  // what went wrong after this, oldest first
}

func (e *RankFailedError) Error() string {
	where := ""
	if e.Host != "" {
		where = " (" + e.Host + ")"
	}
	return fmt.Sprintf("collective: rank %d%s failed: rank %d lost it in %s at %s over %s: %s%s",
		e.Rank, where, e.DetectedBy, e.Call, e.Time.Format(time.RFC3339Nano), e.Link, e.Cause,
		later(e.Later))
}

// Unwrap returns the cause, on the rank that saw it.
func (e *RankFailedError) Unwrap() error { return e.Err }

// AbortedError says that another rank gave up: its context ended, or it found something wrong.
type AbortedError struct {
	Rank  int       // who gave up
	Host  string    // where it runs
	Call  Call      // what it was in
	Time  time.Time // when, by its clock
	Cause string    // why
	Err   error     // the same as an error, on Rank itself
	Later []string  // what went wrong after this, oldest first
}

// Unwrap returns the cause, on the rank that gave up.
func (e *AbortedError) Unwrap() error { return e.Err }

func (e *AbortedError) Error() string {
	where := ""
	if e.Host != "" {
		where = " (" + e.Host + ")"
	}
	return fmt.Sprintf("collective: rank %d%s gave up in %s at %s: %s%s",
		e.Rank, where, e.Call, e.Time.Format(time.RFC3339Nano), e.Cause, later(e.Later))
}

// CancelledError says that this rank's context ended during a call. The communicator is of no
// more use, here and, as soon as they hear of it, on all ranks.
type CancelledError struct {
	Rank    int
	Call    Call
	After   time.Duration // how long the call had been under way
	Waiting []string      // what each unfinished link was waiting for
	Err     error         // the context's error
}

func (e *CancelledError) Error() string {
	s := fmt.Sprintf("collective: rank %d: %s ended after %s: %v",
		e.Rank, e.Call, e.After.Round(time.Microsecond), e.Err)
	if len(e.Waiting) > 0 {
		s += "; it waited for: " + strings.Join(e.Waiting, "; ")
	}
	return s
}

// Unwrap returns the context's error.
func (e *CancelledError) Unwrap() error { return e.Err }

// ProtocolError is a peer that breaks the rules of the frames: a bug, or not one of ours.
type ProtocolError struct {
	Rank   int
	Peer   int
	Link   string
	Reason string
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("collective: rank %d: rank %d over %s: %s; "+
		"do all ranks run the same build?", e.Rank, e.Peer, e.Link, e.Reason)
}

func later(l []string) string {
	if len(l) == 0 {
		return ""
	}
	return " (later: " + strings.Join(l, "; ") + ")"
}
