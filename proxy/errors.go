package proxy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrClosed is what every call returns, wrapped, after the proxy has been closed.
var ErrClosed = errors.New("the proxy is closed")

// UnknownPeerError is a destination that is no component of the group, as far as this one knows.
type UnknownPeerError struct {
	Self, Destination string
	Known             map[string][]string // names of the peers, by type
}

func (e *UnknownPeerError) Error() string {
	return fmt.Sprintf("proxy %s: there is no peer %q; there are %v; "+
		"list its type among the expected peers, or check the name", e.Self, e.Destination, e.Known)
}

// PeerLostError is a peer that will not answer: its process has ended or cannot be reached.
type PeerLostError struct {
	Self, Peer, Type string
	Address          string    // its host and process
	Phase            string    // what was under way: "task", "notification", "send", "join"
	Since            time.Time // since when it is away
	Err              error     // why it counts as lost
	Remedy           string
}

func (e *PeerLostError) Error() string {
	s := fmt.Sprintf("proxy %s: peer %s (%s at %s) is lost since %s, during %s: %v", e.Self, e.Peer,
		e.Type, e.Address, e.Since.Format(time.TimeOnly), e.Phase, e.Err)
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns why the peer counts as lost.
func (e *PeerLostError) Unwrap() error { return e.Err }

// The reasons for which a peer counts as lost.
var (
	errLeft     = errors.New("it has left in order")
	errLapsed   = errors.New("its lease in the store has ended")
	errRefused  = errors.New("its address refuses connections: the process has ended")
	errReplaced = errors.New("another process has taken its name")
	errSilent   = errors.New("nothing was heard of it")
)

// WaitError is a wait that ended before all that was waited for had come.
type WaitError struct {
	Self    string
	Phase   string   // "send", "receive", "join", "drain", "minimal peers", "room in the outbox"
	Waiting []string // who is waited for, and how far each has come
	Waited  time.Duration
	Err     error // the context's
	Remedy  string
}

func (e *WaitError) Error() string {
	s := fmt.Sprintf("proxy %s: %s: gave up after %v", e.Self, e.Phase,
		e.Waited.Round(time.Millisecond))
	if len(e.Waiting) > 0 {
		s += ", waiting for " + strings.Join(e.Waiting, "; ")
	}
	s += ": " + e.Err.Error()
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap returns the context's error.
func (e *WaitError) Unwrap() error { return e.Err }

// Failure is what went wrong with one target of a call to several.
type Failure struct {
	Index int // among the targets of the call
	Peer  string
	Err   error
}

// PartialError says which targets of a Send, Scatter, Broadcast or ReceiveByID gave no reply. The
// replies that came stand at their places in the result.
type PartialError struct {
	Self     string
	Of       int // how many targets there were
	Failures []Failure
}

func (e *PartialError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "proxy %s: %d of %d targets gave no reply", e.Self, len(e.Failures), e.Of)
	for i, f := range e.Failures {
		if i == 8 {
			fmt.Fprintf(&b, "; and %d more", len(e.Failures)-i)
			break
		}
		fmt.Fprintf(&b, "; %d (%s): %v", f.Index, f.Peer, f.Err)
	}
	return b.String()
}

// Unwrap returns the errors of the targets.
func (e *PartialError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}

// RemoteError is an error that a peer's application answered with (ReplyError).
type RemoteError struct {
	Self, Peer, Tag string
	Text            string
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("proxy %s: peer %s failed to handle %q: %s", e.Self, e.Peer, e.Tag, e.Text)
}

// StageError is a step that the session does not allow: a second reply, say.
type StageError struct {
	Self    string
	Session ID
	Stage   Stage // where it is
	Step    string
	Remedy  string
}

func (e *StageError) Error() string {
	return fmt.Sprintf("proxy %s: session %s is at %q, which does not allow to %s; %s", e.Self,
		e.Session, e.Stage, e.Step, e.Remedy)
}

// BackpressureError is a message that was not taken, or one that had to make room, because those
// kept for a peer that is away have reached their bound.
type BackpressureError struct {
	Self, Peer string
	Messages   int
	Bytes      int64
	Policy     CachePolicy
	Message    ID // the message concerned
	Remedy     string
}

func (e *BackpressureError) Error() string {
	return fmt.Sprintf("proxy %s: %d messages of %d bytes are kept for peer %s, which is away; by "+
		"policy %s message %s is not; %s", e.Self, e.Messages, e.Bytes, e.Peer, e.Policy, e.Message,
		e.Remedy)
}

// MinimalPeersError says that fewer peers of a type have been there than the application needs, for
// longer than it wants to wait.
type MinimalPeersError struct {
	Self, Type  string
	Have, Need  int
	Waited      time.Duration
	LastOutcome error
	Remedy      string
}

func (e *MinimalPeersError) Error() string {
	return fmt.Sprintf("proxy %s: %d of at least %d peers of type %s have been there for %v; %s",
		e.Self, e.Have, e.Need, e.Type, e.Waited.Round(time.Millisecond), e.Remedy)
}

// Unwrap returns why the last one of them was lost.
func (e *MinimalPeersError) Unwrap() error { return e.LastOutcome }

// ArgumentError is a call that makes no sense.
type ArgumentError struct {
	Call, Argument, Problem string
}

func (e *ArgumentError) Error() string {
	return fmt.Sprintf("proxy: %s: %s: %s", e.Call, e.Argument, e.Problem)
}

// WireError is what a peer sent and does not parse. The connection ends, nothing else.
type WireError struct {
	Field string
	Got   uint64
	Want  string
}

func (e *WireError) Error() string {
	return fmt.Sprintf("bad message: %s is %d, want %s", e.Field, e.Got, e.Want)
}

// UndeliveredError says what Close gave up: messages that no peer is known to have.
type UndeliveredError struct {
	Self     string
	Messages map[string]int // by peer
	Err      error          // the context's
}

func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("proxy %s: closed with undelivered messages for %v: %v; give Close more time",
		e.Self, e.Messages, e.Err)
}

// Unwrap returns the context's error.
func (e *UndeliveredError) Unwrap() error { return e.Err }
