package collective

import (
	"context"
)

// Work is a call under way. It goes on whether somebody waits for it or not: by whoever waits for a call of
// this process, by Done, and else by a goroutine that looks for calls that are left alone. Its buffers must
// not be touched until Wait has returned.
type Work struct {
	comm *Comm
	call *call
	done bool
	err  error
}

// start issues a call without waiting for it. Whatever is wrong with it, Wait tells. Calls of one
// communicator that are under way at the same time finish in any order. The first call that
// needs a new link opens it before it returns.
func (c *Comm) start(ctx context.Context, r *request) *Work {
	w := &Work{comm: c}
	e := c.e
	e.enter()
	defer e.mu.Unlock()
	entry, err := c.find(ctx, r)
	if err != nil {
		w.done, w.err = true, err
		return w
	}
	w.call = c.newCall(entry)
	w.call.reset(r)
	c.issue(ctx, w.call, c.number(entry, r))
	if w.call.done {
		return w
	}
	if ctx.Done() != nil {
		call := w.call
		call.stop = context.AfterFunc(ctx, func() {
			e.enter()
			defer e.mu.Unlock()
			if w.call == call && !call.done {
				e.cancelled(call, ctx.Err())
				e.attend()
				e.ep.Wake()
			}
		})
	}
	e.leave(w.call)
	return w
}

// Wait returns when the call is done, with its error. The context given to the call bounds it.
// Calling Wait again returns the same; any number of goroutines may wait.
func (w *Work) Wait() error {
	e := w.comm.e
	e.enter()
	defer e.mu.Unlock()
	if !w.done {
		call := w.call
		e.wait(call.ctx, call)
		w.settle(call)
	}
	return w.err
}

// Done reports whether the call is done. It moves calls along once, if nobody else does, and never waits.
func (w *Work) Done() bool {
	e := w.comm.e
	e.enter()
	defer e.mu.Unlock()
	if !w.done && !w.call.done && !e.leading {
		e.pass()
		e.attend()
	}
	if !w.done && w.call.done {
		w.settle(w.call)
	}
	return w.done
}

// settle keeps how the call ended, and lets go of the call if this is the last goroutine to see it.
func (w *Work) settle(call *call) {
	w.done, w.err, w.call = true, call.err, nil
	if call.waiters == 0 {
		w.comm.recycle(call)
	}
}
