package transport

import (
	"errors"
	"fmt"
)

// ErrClosed is the cause when a link or an endpoint was closed, by this end or, in order, by the
// other.
var ErrClosed = errors.New("closed")

// LinkError is what goes wrong between two ranks.
type LinkError struct {
	Phase   string // "listen", "lookup", "dial", "greeting", "hello", "send", "receive"
	Rank    int    // this rank
	Peer    int    // the rank at the other end; -1 when it has not said who it is
	Address string // the address of the other end, or the one listened on
	Err     error  // the cause
	Remedy  string // what a person can do, "" when nothing is known
}

func (e *LinkError) Error() string {
	peer := "an unknown peer"
	if e.Peer >= 0 {
		peer = fmt.Sprintf("rank %d", e.Peer)
	}
	s := fmt.Sprintf("rank %d: %s with %s at %s: %v", e.Rank, e.Phase, peer, e.Address, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *LinkError) Unwrap() error { return e.Err }

// FrameError is a frame that does not parse: the peer is of another version, or isn't one of ours.
type FrameError struct {
	Field string // which part of the frame
	Got   uint64
	Want  string
}

func (e *FrameError) Error() string {
	return fmt.Sprintf("bad frame: %s is %d (%#x), want %s", e.Field, e.Got, e.Got, e.Want)
}
