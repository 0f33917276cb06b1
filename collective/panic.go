package collective

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/tutti-ml/tutti/tensor"
)

// PanicError says that a function of the user's, an operation of tensor.Func, has panicked on this rank, or ended
// the goroutine that it ran in. The call can't go on: the communicator is of no more use, and all ranks return
// *AbortedError, in this call or the next, which wraps this one on the rank where the function panicked. It is no
// panic of the caller's, for the goroutine that runs the function may be one that makes another call.
//
// For the same reason all communicators of this process end where a function has ended its goroutine: what that
// did for others stays half done.
type PanicError struct {
	Rank  int
	Call  Call
	Op    string // the function's name
	Value any    // what it panicked with, or ErrGoexit
	Stack []byte // where, as debug.Stack tells it
}

// ErrGoexit is what a function has done that neither returns nor panics.
var ErrGoexit = errors.New("it ended its goroutine (runtime.Goexit)")

func (e *PanicError) Error() string {
	return fmt.Sprintf("collective: rank %d: in %s %s; its stack is in Stack", e.Rank, e.Call, e.what())
}

func (e *PanicError) what() string { return fmt.Sprintf("the function %q panicked: %v", e.Op, e.Value) }

// Unwrap returns the value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// reduceByUser is Op.Reduce by a function of the user's, in call seq. One that does not return ends the communicator,
// here, for nobody may come back from it; what came of the call is not used.
func (c *Comm) reduceByUser(entry *planned, seq uint64, op tensor.Op, t tensor.Type, dst, a, b []byte) {
	if c.failed != nil {
		return
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		p := &PanicError{Rank: c.rank, Call: describe(seq, *entry.fingerprint), Op: op.String(), Value: recover()}
		exits := p.Value == nil
		if exits {
			p.Value = ErrGoexit
		}
		p.Stack = debug.Stack()
		c.e.lookAway()
		r := c.quits(nil, p.what(), p)
		r.seqA, r.callA = seq, *entry.fingerprint
		c.e.fail(c, r)
		if exits {
			c.e.giveUpAll(p)
		}
		c.e.attend() // where nobody comes back from here who would
	}()
	op.Reduce(t, dst, a, b)
	returned = true
}

// giveUpAll ends all communicators, and all calls, because the goroutine that was at work for them has gone.
func (e *engine) giveUpAll(p *PanicError) {
	for _, c := range e.comms {
		if !c.closed && c.failed == nil {
			e.fail(c, c.quits(nil, p.what(), p))
		}
	}
	for len(e.active) > 0 { // it may have gone while it ended one of them
		e.finish(e.active[0], e.active[0].comm.failure())
	}
}

// lookAway ends what Peek has shown of any link, of which nobody takes the rest now: who has lent it waits for that.
func (e *engine) lookAway() {
	for _, p := range e.peers {
		if p == nil {
			continue
		}
		for _, l := range p.links {
			l.Discard(0)
		}
	}
}

// byUser reports whether an operation is a function of the user's.
func byUser(op tensor.Op) bool { return op.Code() == tensor.UserCode }
