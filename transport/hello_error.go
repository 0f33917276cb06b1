package transport

import (
	"errors"
	"fmt"
)

// HelloReason is why two processes did not come to an agreement on a fresh connection.
type HelloReason uint8

// The reasons. Their numbers stand in refusals and stay the same in all versions.
const (
	// HelloGarbage: the other end does not speak our language; it gets no answer.
	HelloGarbage HelloReason = iota + 1
	// HelloVersion: the other end is of another version.
	HelloVersion
	// HelloMalformed: a message is cut, too long, out of turn or inconsistent.
	HelloMalformed
	// HelloJob: the other end belongs to another job.
	HelloJob
	// HelloSecretHere: this end has a secret and the other has none.
	HelloSecretHere
	// HelloSecretThere: the other end has a secret and this one has none.
	HelloSecretThere
	// HelloWrongSecret: both have a secret, and not the same.
	HelloWrongSecret
	// HelloSize: the ends disagree on how many ranks there are.
	HelloSize
	// HelloRange: a rank is not among those of the job.
	HelloRange
	// HelloTarget: the connection reached another rank than the one dialled.
	HelloTarget
	// HelloSelf: both ends have the same rank.
	HelloSelf
	// HelloBroken: the connection ended, or its deadline passed, in the middle.
	HelloBroken
	helloReasons
)

// HelloError is why the exchange of HelloDial and HelloAccept failed.
type HelloError struct {
	// Reason is seen from the end that noticed: after a refusal, from the other end.
	Reason HelloReason
	// Refused says that the other end noticed, and that There is the text it gave: up to 256
	// bytes that nobody has vouched for.
	Refused bool
	// Peer is the rank dialled, or the one that the other end claimed, or -1.
	Peer int
	// Here and There are what differs, as far as it is known.
	Here, There string
	// Err is the error of the connection, where there was one.
	Err error
}

func (e *HelloError) Error() string {
	s := e.finding()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *HelloError) finding() string {
	if e.Refused {
		return fmt.Sprintf("the other end refused: %q", e.There)
	}
	if e.There == "" && e.Here != "" {
		return fmt.Sprintf("%s is not possible", e.Here)
	}
	switch e.Reason {
	case HelloGarbage:
		return "the other end does not speak Tutti: it said " + e.There
	case HelloVersion:
		return fmt.Sprintf("the other end has version %s, this end %s", e.There, e.Here)
	case HelloMalformed:
		return "the other end sent " + e.There + " in the greeting"
	case HelloJob:
		return fmt.Sprintf("the other end belongs to job %s, this end to %s", e.There, e.Here)
	case HelloSecretHere:
		return "this end has a secret, the other end has none"
	case HelloSecretThere:
		return "the other end has a secret, this end has none"
	case HelloWrongSecret:
		return "the other end has another secret"
	case HelloSize:
		return fmt.Sprintf("the other end counts %s ranks, this end %s", e.There, e.Here)
	case HelloRange:
		return fmt.Sprintf("the other end says it is rank %s, of ranks %s", e.There, e.Here)
	case HelloTarget:
		return fmt.Sprintf("rank %s was reached instead of rank %s", e.Here, e.There)
	case HelloSelf:
		return fmt.Sprintf("the other end is rank %s as well", e.There)
	case HelloBroken:
		return "the connection ended in the greeting"
	}
	return fmt.Sprintf("reason %d", e.Reason)
}

// Unwrap returns the error of the connection, where there was one.
func (e *HelloError) Unwrap() error { return e.Err }

// toStranger is what the other end, which has proved nothing yet, is told: what it said itself and
// this end's rank, and nothing else of this end.
func (e *HelloError) toStranger(rank int) string {
	me := fmt.Sprintf("rank %d", rank)
	switch e.Reason {
	case HelloVersion:
		return fmt.Sprintf("version %s, %s has %s", e.There, me, e.Here)
	case HelloMalformed:
		return fmt.Sprintf("%s got %s", me, e.There)
	case HelloJob:
		return me + " belongs to another job"
	case HelloSecretHere:
		return me + " has a secret, you have none"
	case HelloSecretThere:
		return me + " has no secret, you have one"
	case HelloWrongSecret:
		return me + " has another secret"
	case HelloSize:
		return fmt.Sprintf("%s does not count %s ranks", me, e.There)
	case HelloRange:
		return fmt.Sprintf("%s knows no rank %s", me, e.There)
	case HelloTarget:
		return e.finding()
	case HelloSelf:
		return me + " is this end"
	}
	return me + " refuses"
}

// Remedy says what a person can do, "" when nothing is known.
func (e *HelloError) Remedy() string {
	switch e.Reason {
	case HelloGarbage:
		return "another program, or a port scanner, uses this port: choose another port if it goes on"
	case HelloVersion:
		return "run the same version of Tutti on all hosts"
	case HelloMalformed:
		return "check that both ends run the same build of Tutti and that nothing rewrites the connection"
	case HelloJob:
		return "give all ranks the same job name, and each job addresses and ports of its own"
	case HelloSecretHere, HelloSecretThere, HelloWrongSecret:
		return "give all ranks of the job the same secret"
	case HelloSize:
		return "start all ranks with the same number of ranks, and end those of an earlier run"
	case HelloRange:
		return "number the ranks from 0 to the number of ranks less one"
	case HelloTarget:
		return "the address is out of date: end the ranks of an earlier run, and look it up again"
	case HelloSelf:
		return "give every rank a number of its own; a rank has no link to itself"
	case HelloBroken:
		return "look for why the other end stopped or what cuts connections between the hosts"
	}
	return "run the same version of Tutti on all hosts"
}

// HelloLinkError makes the error of a driver from that of HelloDial or HelloAccept: self met the
// other end at address.
func HelloLinkError(self int, address string, err error) *LinkError {
	e := &LinkError{Phase: "hello", Rank: self, Peer: -1, Address: address, Err: err}
	var hello *HelloError
	if errors.As(err, &hello) {
		e.Peer, e.Remedy = hello.Peer, hello.Remedy()
	}
	return e
}
