package collective

import (
	"fmt"
	"runtime/debug"

	"github.com/tutti-ml/tutti/tensor"
)

// PanicError says that a function of the user's, an operation of tensor.Func, has panicked on this rank. The call
// can't go on: the communicator is of no more use, and all ranks return *AbortedError, in this call or the next,
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

// reduceByUser is Op.Reduce by a function of the user's. It returns what that has panicked with, else nil.
func reduceByUser(op tensor.Op, t tensor.Type, dst, a, b []byte) (panicked *PanicError) {
	defer func() {
		if v := recover(); v != nil {
			panicked = &PanicError{Op: op.String(), Value: v, Stack: debug.Stack()}
		}
	}()
	op.Reduce(t, dst, a, b)
	return nil
}

// panicked ends the communicator because a function has panicked in call seq. It is called where an operation
// would be done otherwise: what came of it is not used.
func (c *Comm) panicked(entry *planned, seq uint64, p *PanicError) {
	p.Rank, p.Call = c.rank, describe(seq, *entry.fingerprint)
	r := c.quits(nil, fmt.Sprintf("the function %q panicked: %v", p.Op, p.Value), p)
	r.seqA, r.callA = seq, *entry.fingerprint
	c.e.fail(c, r)
}
