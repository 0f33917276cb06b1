//go:build linux || darwin

package zmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

const (
	// stagger is how much later than the one before an address is tried.
	stagger = 50 * time.Millisecond
	// connectTime bounds the opening of one connection, before the handshake.
	connectTime = 5 * time.Second
	// A dial that failed is tried again after firstPause, then after twice as long each time, up to
	// longestPause.
	firstPause   = 10 * time.Millisecond
	longestPause = time.Second
	// patientTime is for how long it is tried again when ctx has no deadline. A rank listens before
	// anybody knows its address: who refuses has ended, as a rule.
	patientTime = time.Second
)

// DialError collects what came of the addresses of a peer, none of which led to it.
type DialError struct {
	Attempts []Attempt
}

// Attempt is one address tried, or left out.
type Attempt struct {
	Address string // "tcp 10.0.0.1:4000", "unix @tutti-..."
	Err     error
	Remedy  string // "" when nothing is known
}

func (e *DialError) Error() string {
	var b strings.Builder
	for i, a := range e.Attempts {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %v", a.Address, a.Err)
		if a.Remedy != "" {
			fmt.Fprintf(&b, " (%s)", a.Remedy)
		}
	}
	return b.String()
}

// Unwrap returns the errors of all attempts.
func (e *DialError) Unwrap() []error {
	errs := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		errs[i] = a.Err
	}
	return errs
}

// candidate is one way to a peer.
type candidate struct {
	network, address string
	why              string
}

func (c candidate) String() string { return c.network + " " + c.address }

// Dial opens a link to a peer. It tries again while the failures look as if they could pass, until
// ctx ends, or for a second when ctx has no deadline.
func (e *endpoint) Dial(ctx context.Context, peer int, encoded []byte) (transport.Link, error) {
	fail := func(address string, err error) error {
		return &transport.LinkError{
			Phase: "dial", Rank: e.c.Rank, Peer: peer, Address: address, Err: err, Remedy: remedy(err),
		}
	}
	ctx, leave, err := e.links.Enter(ctx, peer)
	if err != nil {
		return nil, fail("no address", err)
	}
	defer leave()
	there, err := decodeAddresses(encoded)
	if err != nil {
		return nil, fail("an unknown address", err)
	}
	stages, left := e.candidates(there)
	tries := attach.NewTries(ctx, firstPause, longestPause, patientTime)
	for {
		l, failed := e.try(ctx, peer, stages)
		if l != nil {
			return l, nil
		}
		failed = append(failed, left...)
		passing := slices.ContainsFunc(failed, func(a Attempt) bool { return transient(a.Err) })
		if !passing || !tries.Again(ctx) {
			return nil, e.dialError(peer, failed, context.Cause(ctx))
		}
	}
}

// dialError is the error of a dial that gave up; cause is why, when it was not the failures.
func (e *endpoint) dialError(peer int, failed []Attempt, cause error) error {
	all := make([]string, len(failed))
	remedies := make([]string, 0, len(failed))
	for i, a := range failed {
		all[i] = a.Address
		if a.Remedy != "" && !slices.Contains(remedies, a.Remedy) {
			remedies = append(remedies, a.Remedy)
		}
	}
	failure := &transport.LinkError{
		Phase: "dial", Rank: e.c.Rank, Peer: peer, Address: strings.Join(all, ", "),
		Err: &DialError{Attempts: failed}, Remedy: strings.Join(remedies, "; "),
	}
	if len(failed) == 1 {
		failure.Err = failed[0].Err
	}
	var hello *transport.HelloError
	var greeting *GreetingError
	if errors.As(failure.Err, &hello) {
		failure.Phase = "hello"
	} else if errors.As(failure.Err, &greeting) {
		failure.Phase = "greeting"
	}
	if cause != nil {
		failure.Err = fmt.Errorf("%w: %w", cause, failure.Err)
	}
	return failure
}

// candidates returns the ways to a peer, in stages: those of the second are for when the first
// leads nowhere. What can't work is returned apart, with the reason.
func (e *endpoint) candidates(there *addresses) (stages [][]candidate, left []Attempt) {
	near := there.host == e.at.host && there.space == e.at.space
	if e.driver.mode != TCP && there.unix != "" {
		if near {
			stages = append(stages, []candidate{{"unix", there.unix, "same host"}})
		} else {
			left = append(left, Attempt{
				Address: "unix " + there.unix, Err: errElsewhere,
				Remedy: "use the driver zmq for ranks on several hosts",
			})
		}
	}
	if e.driver.mode == IPC {
		return stages, left
	}
	var tcp, far []candidate
	for _, p := range there.tcp {
		at := net.JoinHostPort(p.Addr().String(), strconv.Itoa(int(there.port)))
		why, direct := e.route(p)
		switch {
		case p.Addr().IsLoopback() && !near:
			left = append(left, Attempt{
				Address: "tcp " + at, Err: errElsewhere,
				Remedy: "give all ranks a secret: without one they are reached on their own host alone",
			})
		case direct:
			tcp = append(tcp, candidate{"tcp", at, why})
		default:
			far = append(far, candidate{"tcp", at, why})
		}
	}
	if tcp = append(tcp, far...); len(tcp) > 0 {
		stages = append(stages, tcp)
	}
	if len(stages) == 0 && len(left) == 0 {
		left = append(left, Attempt{Address: "no address", Err: errNowhere})
	}
	return stages, left
}

var (
	errElsewhere = errors.New("it is reached on its own host, or in its own container, alone")
	errNowhere   = errors.New("the peer offers no address of this driver's kind")
)

// route says how this host would reach an address, and whether without a router.
func (e *endpoint) route(p netip.Prefix) (string, bool) {
	if p.Addr().IsLoopback() {
		return "same host", true
	}
	all, err := e.locals()
	if err != nil {
		return "by an unknown way: " + err.Error(), false
	}
	for _, l := range allowed(e.filter, all) {
		if l.net.Masked() == p.Masked() || l.net.Contains(p.Addr()) {
			return "same network as " + l.name, true
		}
	}
	return "through a router", false
}

// transient tells whether the failure of a dial may go away by itself: the peer may be about to
// listen, or busy, or its host about to be up.
func transient(err error) bool {
	var hello *transport.HelloError
	if errors.As(err, &hello) && (hello.Refused || hello.Reason != transport.HelloBroken) {
		return false
	}
	for _, passing := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
		syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.EAGAIN, syscall.ENOENT,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, io.EOF, io.ErrUnexpectedEOF,
		os.ErrDeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}
