package proxy

import (
	"fmt"
	"strings"
	"time"
)

// NameError reports a name that cannot be one: of a group, a component or a component's type.
type NameError struct {
	What string // "group", "component", "type" or "expected type"
	Name string
}

// Error says what names may be.
func (e *NameError) Error() string {
	shown := e.Name
	if len(shown) > maxNameBytes {
		shown = shown[:maxNameBytes] + "..."
	}
	return fmt.Sprintf("proxy: %q is no name of a %s; use 1 to %d letters, digits, dots, hyphens "+
		"and underscores", shown, e.What, maxNameBytes)
}

// Claimant is a process that claims a component's name.
type Claimant struct {
	Type     string
	Host     string // "" when it has not published itself yet
	PID      int
	Instance string // tells two starts apart
	Since    time.Time
}

func (c Claimant) String() string {
	if c.Host == "" {
		return fmt.Sprintf("a process that has not published itself yet (type %q, instance %s)",
			c.Type, c.Instance)
	}
	return fmt.Sprintf("pid %d on host %q (type %q, instance %s, since %s)", c.PID, c.Host, c.Type,
		c.Instance, c.Since.Format(time.RFC3339))
}

// DuplicateNameError reports that another process, which lives, holds the name of this component.
type DuplicateNameError struct {
	Group, Name string
	Self        Claimant // this process
	Holder      Claimant // the one that has the name
	Waited      time.Duration
	Err         error // what ended the wait
}

// Error names both processes.
func (e *DuplicateNameError) Error() string {
	return fmt.Sprintf("proxy: group %q: the name %q of %s is held by %s, which did not give it up "+
		"within %s; give each component its own name and each job its own group, or end the other "+
		"process: %v", e.Group, e.Name, e.Self, e.Holder, e.Waited.Round(time.Millisecond), e.Err)
}

// Unwrap returns what ended the wait.
func (e *DuplicateNameError) Unwrap() error { return e.Err }

// SupersededError reports that another process took over the name of this component, because this
// one had been silent for longer than its lease: it was stopped, or its machine slept.
type SupersededError struct {
	Group, Name string
	Self        Claimant      // this process
	Successor   Claimant      // the one that has the name now
	Lease       time.Duration // how long a silent process keeps its name
}

// Error names both processes.
func (e *SupersededError) Error() string {
	return fmt.Sprintf("proxy: group %q: %s was silent for longer than its lease of %s, and the "+
		"name %q was taken over by %s; open a new proxy, under another name if both processes are "+
		"to go on; a longer lease tolerates longer pauses",
		e.Group, e.Self, e.Lease, e.Name, e.Successor)
}

// MembershipError reports that the store, through which components find each other, failed while
// a component entered or left its group.
type MembershipError struct {
	Group, Name string
	Phase       string // "claim", "publish", "read", "withdraw" or "closed"
	Store       string // the store's address
	Waited      time.Duration
	Err         error // the cause
	Remedy      string
}

// Error names the store, the phase, the cause and the remedy.
func (e *MembershipError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "proxy: group %q, component %q, store %s: %s failed",
		e.Group, e.Name, e.Store, e.Phase)
	if e.Waited > 0 {
		fmt.Fprintf(&text, " after %s", e.Waited.Round(time.Millisecond))
	}
	fmt.Fprintf(&text, ": %v", e.Err)
	if e.Remedy != "" {
		text.WriteString("; " + e.Remedy)
	}
	return text.String()
}

// Unwrap returns the cause, most often a *rendezvous.StoreError.
func (e *MembershipError) Unwrap() error { return e.Err }
