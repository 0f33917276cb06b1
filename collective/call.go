package collective

import (
	"context"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// call is the state of one call under way: a plan, and how far it has come. It is a state machine:
// it is told what has happened (a frame's bytes are here, a send is done) and answers by what may
// happen next. It is guarded by the engine's turn.
type call struct {
	comm    *Comm
	entry   *planned
	plan    *schedule.Plan
	seq     uint64
	typ     tensor.Type
	op      tensor.Op
	buf     [schedule.Buffers][]byte
	scratch scratch

	pending   []int32 // per operation: how many operations it still waits for
	remaining int     // operations not done
	ready     []int32 // local operations that may run
	links     []callLink

	ctx       context.Context
	async     bool
	seen      bool // by the pump
	waiters   int  // goroutines that are in wait for it
	following int  // how many of them wait for signal
	done      bool
	err       error
	signal    chan struct{} // capacity 1: the call is done, or its goroutine should lead
	started   time.Time     // when it had lasted for some passes or began to wait; zero before: see stamp
	told      time.Duration // when, after started, the last status was sent
	stop      func() bool   // ends the watch of an asynchronous call's context
}

// callLink is a call's use of the link to one peer.
type callLink struct {
	call   *call
	link   *schedule.Link
	peer   *peer
	ch     *channel
	sendAt int // the next of link.Sends to offer
	ended  int // sends that are done
	recvAt int // the next of link.Recvs to complete
	askAt  int // the next of link.Recvs to tell the link of: see expect
	got    int // bytes of it that are here
	crc    uint32
	staged *heldFrame // the payload of the next send, where that is not the call's own memory
}

// idle reports whether the call wants nothing more of the peer.
func (cl *callLink) idle() bool {
	return cl.recvAt == len(cl.link.Recvs) && cl.ended == len(cl.link.Sends)
}

// listening reports whether reading from the peer can move the call now: its next receive may run,
// or a frame waits to be sent, for which the peer may have to return credit first.
func (cl *callLink) listening() bool {
	c := cl.call
	if cl.recvAt < len(cl.link.Recvs) && c.pending[cl.link.Recvs[cl.recvAt]] == 0 {
		return true
	}
	return cl.sendAt < len(cl.link.Sends) && c.pending[cl.link.Sends[cl.sendAt]] == 0
}

// needs reports whether the call can't end without hearing from the peer again: frames are missing
// that are not even held, or the peer has to take some.
func (cl *callLink) needs() bool {
	missing := len(cl.link.Recvs) - cl.recvAt
	for _, f := range cl.ch.held.items[cl.ch.held.at:] {
		if f.header.Seq == cl.call.seq {
			missing--
		}
	}
	return missing > 0 || cl.ended < len(cl.link.Sends)
}

// reset makes the call ready to run its plan, from the start.
func (c *call) reset(r *request) {
	c.typ, c.op = r.typ, r.op
	c.buf = r.buf
	c.buf[schedule.Scratch] = c.scratch.mem
	copy(c.pending, c.plan.Indegree)
	c.remaining = len(c.plan.Ops)
	c.ready = append(c.ready[:0], c.plan.Local...)
	for i := range c.links {
		cl := &c.links[i]
		cl.sendAt, cl.ended, cl.recvAt, cl.askAt, cl.got, cl.crc = 0, 0, 0, 0, 0, 0
		cl.staged = nil
	}
	c.done, c.err, c.told = false, nil, 0
	c.async, c.seen, c.stop = false, false, nil
}

// opDone notes that an operation is done, and finds the local operations that may run now.
func (c *call) opDone(op int32) {
	c.remaining--
	for _, s := range c.plan.Succ[c.plan.SuccAt[op]:c.plan.SuccAt[op+1]] {
		if c.pending[s]--; c.pending[s] == 0 {
			if k := c.plan.Ops[s].Kind; k == schedule.LocalReduce || k == schedule.Copy {
				c.ready = append(c.ready, s)
			}
		}
	}
}

// runLocal runs the local operations that are ready.
func (c *call) runLocal() {
	for len(c.ready) > 0 {
		i := c.ready[len(c.ready)-1]
		c.ready = c.ready[:len(c.ready)-1]
		o := &c.plan.Ops[i]
		for off, n := 0, o.Dst.Len(); off < n; {
			dst := c.part(&o.Dst, off, n-off)
			a := c.part(&o.A, off, len(dst))
			if o.Kind == schedule.Copy {
				off += copy(dst, a)
				continue
			}
			b := c.part(&o.B, off, len(a))
			dst, a = dst[:len(b)], a[:len(b)]
			if c.rounds(o) {
				c.combineRounded(dst, a, b)
			} else {
				c.combine(o.Left, dst, a, b)
			}
			off += len(b)
		}
		if c.done { // a function has panicked
			return
		}
		c.complete(o)
		c.opDone(i)
	}
}

// part returns the bytes of a region from off on, up to n and up to the end of the piece.
func (c *call) part(r *schedule.Region, off, n int) []byte {
	p := r.Pieces[0]
	if off >= p.Len {
		off -= p.Len
		p = r.Pieces[1]
	}
	lo := p.Off + off
	return c.buf[r.Buf][lo : lo+min(n, p.Len-off)]
}

// pieces returns the memory of a region, for a link to send.
func (c *call) pieces(r *schedule.Region) (p [2][]byte) {
	for i := range r.Pieces {
		if pc := &r.Pieces[i]; pc.Len > 0 {
			p[i] = c.buf[r.Buf][pc.Off : pc.Off+pc.Len]
		}
	}
	return p
}

func (c *call) combine(left bool, dst, a, b []byte) {
	if left {
		a, b = b, a
	}
	if byUser(c.op) {
		c.comm.reduceByUser(c.entry, c.seq, c.op, c.typ, dst, a, b)
		return
	}
	c.op.Reduce(c.typ, dst, a, b)
}

// absorb applies bytes of a message, whole elements at offset off, to the operation that receives it. cold says that
// what it makes of them is not read soon: see coldSum.
func (c *call) absorb(o *schedule.Op, off int, src []byte, cold bool) {
	if c.entry.wire != 0 {
		c.widen(o, off, src)
		return
	}
	if o.Kind == schedule.Recv {
		for len(src) > 0 {
			n := copy(c.part(&o.Dst, off, len(src)), src)
			off, src = off+n, src[n:]
		}
		return
	}
	for len(src) > 0 {
		dst := c.part(&o.Dst, off, len(src))
		a := c.part(&o.A, off, len(dst))
		if cold {
			c.op.ReduceCold(c.typ, dst[:len(a)], a, src[:len(a)])
		} else {
			c.combine(o.Left, dst[:len(a)], a, src[:len(a)])
		}
		off, src = off+len(a), src[len(a):]
	}
}

// complete applies what ends a reduction, if this operation is the one that completes it.
func (c *call) complete(o *schedule.Op) {
	if !o.Last || c.op != tensor.Avg && c.entry.wire == 0 { // no other operation has anything to do
		return
	}
	for off, n := 0, o.Dst.Len(); off < n; {
		dst := c.part(&o.Dst, off, n-off)
		c.op.Finish(c.typ, dst, c.comm.size)
		if w := c.entry.wire; w != 0 {
			tensor.Round(w, dst, dst)
		}
		off += len(dst)
	}
}
