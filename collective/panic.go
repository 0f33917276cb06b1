package collective

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/tutti-ml/tutti/tensor"
)

// PanicError says that a function of the user's, an operation of tensor.Func, has panicked on this rank, or ended
// the goroutine that it ran in. The call can't go on: the communicator is of no more use, and all ranks return *AbortedError, in this call or the next,
// which wraps this one on the rank where the function panicked. It is no panic of the caller's, for the goroutine
// that runs the function may be one that makes another call.
type PanicError struct {
	Rank  int
	Call  Call
	Op    string // the function's name
	Value any    // what it panicked with
	Stack []byte // where, as debug.Stack tells it
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("collective: rank %d: in %s the function %q panicked: %v; its stack is in Stack",
		e.Rank, e.Call, e.Op, e.Value)
}

// Unwrap returns the value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// errGoexit is what a function has done that neither returns nor panics.
var errGoexit = errors.New("it ended its goroutine (runtime.Goexit)")

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
		if p.Value == nil {
			p.Value = errGoexit
		}
		p.Stack = debug.Stack()
		c.e.lookAway()
		r := c.quits(nil, fmt.Sprintf("the function %q panicked: %v", p.Op, p.Value), p)
		r.seqA, r.callA = seq, *entry.fingerprint
		c.e.fail(c, r)
	}()
	op.Reduce(t, dst, a, b)
	returned = true
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
