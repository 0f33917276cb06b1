package collective

import (
	"slices"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

const (
	// briefOps and briefBytes are the most operations of a brief plan, and the most bytes of each;
	// briefScratch the most of its scratch memory.
	briefOps     = 64
	briefBytes   = 4 << 10
	briefScratch = 32 << 10
	// briefLooks is how many times a link is asked for a frame: half a microsecond over shared memory,
	// so about as long as a message takes. turnLooks is that where the core is given away then: as long as it
	// takes a rank on another core that has come a little later.
	briefLooks = 64
	turnLooks  = 16
)

// brief is a plan of few operations on few bytes. Most of what the engine does for a call is there so
// that the call can wait, beside others: counters of dependencies, queues of what is to be sent and
// received. A brief call whose frames are there when they are looked for needs none of that: its caller
// runs the operations one after the other, in an order that dependencies allow. The first thing
// that can't be done at once makes an ordinary call of what is left: see resume.
type brief struct {
	ops     []briefOp
	links   []briefLink // of the plan, in order
	scratch []byte
	looks   int  // how many times a link is asked for a frame that is not there
	turn    bool // then the core is given to other ranks, once for the frame, and the link is asked as often again

	comm  *Comm
	entry *planned // the plan
	seq   uint64   // of the call

	// How far it has come: operations done, whether the link has taken the next one, a send, but not let
	// go of its memory, and how many bytes of the next one, a receive, are here.
	at   int
	lent bool
	got  int
}

// briefLink is a plan's use of the link to a peer.
type briefLink struct {
	ch       *channel
	receives bool             // frames come on it
	header   transport.Header // of frames both ways: what changes from one to the next is set for each
}

// briefOp is an operation, in parts where its operands go over the end of their memory.
type briefOp struct {
	index int32 // in the plan
	kind  schedule.Kind
	left  bool
	last  bool
	link  int    // among those of the plan
	frame uint32 // its number on the link
	size  int
	first briefPart
	more  []briefPart
}

// briefPart is a part of an operation of which each operand is in one piece.
type briefPart struct {
	size      int
	dst, a, b briefSpan
}

// briefSpan is where an operand begins.
type briefSpan struct {
	buf schedule.Buffer
	off int
}

// newBrief returns the brief form of a plan, nil when it has none.
func (c *Comm) newBrief(p *planned) *brief {
	long := func(o schedule.Op) bool { return o.Bytes() > briefBytes }
	if p.wire != 0 || len(p.plan.Ops) > briefOps || p.plan.ScratchBytes > briefScratch ||
		slices.ContainsFunc(p.plan.Ops, long) {
		return nil
	}
	b := &brief{
		comm: c, entry: p, links: make([]briefLink, len(p.channels)), ops: make([]briefOp, 0, len(p.plan.Ops)),
		scratch: ordinaryScratch(p.plan.ScratchBytes),
	}
	b.looks, b.turn = looksOf(p.key.coll, c.e.inTurns)
	for i, ch := range p.channels {
		b.links[i] = briefLink{ch: ch, receives: len(p.plan.Links[i].Recvs) > 0, header: transport.Header{
			Kind: transport.Data, Flags: flagsOf(ch), Epoch: ch.comm.epoch, Comm: ch.id.comm, Fingerprint: *p.fingerprint,
		}}
	}
	s := newBriefOrder(p.plan)
	for range p.plan.Ops {
		i := s.next()
		o := &p.plan.Ops[i]
		parts := briefParts(o)
		b.ops = append(b.ops, briefOp{
			index: i, kind: o.Kind, left: o.Left, last: o.Last, link: s.place[i].link, frame: s.place[i].frame,
			size: o.Bytes(), first: parts[0], more: parts[1:],
		})
	}
	return b
}

// looksOf says how long a brief call waits. Where ranks share cores, who waits for all others can do nothing
// better than to let them come: on two cores that takes calls of 4 ranks to 0.7-0.9 of the time. But where some run
// ahead of others, as leaves of their root, they should do so for many calls: if who waits gives the core away
// at once, a gather takes twice as long.
func looksOf(coll schedule.Collective, inTurns bool) (looks int, turn bool) {
	switch {
	case !inTurns:
		return briefLooks, false
	case coll.Rooted() || coll == schedule.SendRecv:
		return 0, false
	}
	return turnLooks, true
}

// briefParts cuts an operation where any of its operands is cut.
func briefParts(o *schedule.Op) []briefPart {
	var parts []briefPart
	for at, n := 0, o.Bytes(); len(parts) == 0 || at < n; {
		part := briefPart{size: n - at}
		part.dst = part.from(&o.Dst, at)
		part.a = part.from(&o.A, at)
		part.b = part.from(&o.B, at)
		parts = append(parts, part)
		at += part.size
	}
	return parts
}

// from returns where byte at of an operand is, and ends the part where that piece of it ends.
func (p *briefPart) from(r *schedule.Region, at int) briefSpan {
	i := 0
	if at >= r.Pieces[0].Len && r.Pieces[1].Len > 0 {
		i, at = 1, at-r.Pieces[0].Len
	}
	if n := r.Pieces[i].Len - at; n > 0 { // an operand that the operation has not has no bytes
		p.size = min(p.size, n)
	}
	return briefSpan{r.Buf, r.Pieces[i].Off + at}
}

// tryBrief makes a call of a plan if it may be brief, and reports whether it has begun, as call seq, and whether it
// is done.
func (c *Comm) tryBrief(entry *planned, r *request) (seq uint64, begun, done bool) {
	if !c.mayBeBrief(entry.brief) {
		return 0, false, false
	}
	seq = c.number(entry, r)
	return seq, true, c.runBrief(entry, r, seq)
}

// mayBeBrief reports whether nothing is under way that a brief call would have to wait for, or let
// others wait for. Then nobody is in the endpoint's Wait, for that is the leader's, nor closes it, which is done
// when no communicator is open: so Inliners can be asked without a lock.
func (c *Comm) mayBeBrief(b *brief) bool {
	e := c.e
	if b == nil || e.leading || len(e.active) > 0 || e.checksum {
		return false
	}
	if e.passes++; e.passes%sweepEvery == 0 {
		e.sweep()
	}
	if c.failed != nil || len(c.left) > 0 {
		return false
	}
	for i := range b.links {
		if l := &b.links[i]; !l.ch.clear(l.receives) {
			return false
		}
	}
	return true
}

// clear reports whether nothing is on the way that a frame of a brief call would have to wait for.
func (ch *channel) clear(receives bool) bool {
	if ch.lane == nil || ch.held.len() > 0 {
		return false
	}
	l := ch.from
	if l == nil { // no frame has come: if none is to come now, none needs to
		return !receives
	}
	return !l.kept && l.filling == nil
}

// runBrief runs a call operation by operation, and reports whether it is done.
func (c *Comm) runBrief(entry *planned, r *request, seq uint64) bool {
	e, b := c.e, entry.brief
	r.buf[schedule.Scratch] = b.scratch
	r.brief, b.seq = b, seq
	m := (*briefMemory)(&r.buf)
	for b.at = range b.ops {
		o := &b.ops[b.at]
		done := true
		switch o.kind {
		case schedule.Send:
			done = e.sendBrief(b, o, seq, m)
		case schedule.Recv, schedule.RecvReduce:
			done = e.receiveBrief(b, o, r, seq, m)
		case schedule.Copy:
			m.copy(&o.first)
			for i := range o.more {
				m.copy(&o.more[i])
			}
		default:
			m.reduce(o, &o.first, r)
			for i := range o.more {
				m.reduce(o, &o.more[i], r)
			}
		}
		if !done || c.failed != nil {
			return false
		}
		if o.last && r.op == tensor.Avg {
			m.finish(&o.first, r, c.size)
			for i := range o.more {
				m.finish(&o.more[i], r, c.size)
			}
		}
	}
	return true
}

// briefMemory is the memory of a call.
type briefMemory [schedule.Buffers][]byte

func (m *briefMemory) part(s briefSpan, n int) []byte { return m[s.buf][s.off : s.off+n] }

func (m *briefMemory) copy(p *briefPart) { copy(m.part(p.dst, p.size), m.part(p.a, p.size)) }

func (m *briefMemory) finish(p *briefPart, r *request, ranks int) {
	r.op.Finish(r.typ, m.part(p.dst, p.size), ranks)
}

func (m *briefMemory) reduce(o *briefOp, p *briefPart, r *request) {
	m.combine(o, p, r, m.part(p.b, p.size))
}

// combine reduces the operand of a part that lies in memory, and y.
func (m *briefMemory) combine(o *briefOp, p *briefPart, r *request, y []byte) {
	x := m.part(p.a, p.size)
	if o.left {
		x, y = y, x
	}
	if b := r.brief; byUser(r.op) {
		b.comm.reduceByUser(b.entry, b.seq, r.op, r.typ, m.part(p.dst, p.size), x, y)
		return
	}
	r.op.Reduce(r.typ, m.part(p.dst, p.size), x, y)
}

// rest is the destination of an operation from its byte at on, as far as it is in one piece.
func (m *briefMemory) rest(o *briefOp, at int) []byte {
	p := &o.first
	for i := 0; at >= p.size; i++ {
		at -= p.size
		p = &o.more[i]
	}
	return m.part(p.dst, p.size)[at:]
}

// absorb applies the whole payload of a frame to the operation that expects it.
func (m *briefMemory) absorb(o *briefOp, r *request, payload []byte) {
	m.absorbPart(o, &o.first, r, payload)
	at := o.first.size
	for i := range o.more {
		p := &o.more[i]
		m.absorbPart(o, p, r, payload[at:])
		at += p.size
	}
}

func (m *briefMemory) absorbPart(o *briefOp, p *briefPart, r *request, payload []byte) {
	if o.kind == schedule.Recv {
		copy(m.part(p.dst, p.size), payload)
	} else {
		m.combine(o, p, r, payload[:p.size])
	}
}

// sendBrief sends a frame, and reports whether the link is done with it.
func (e *engine) sendBrief(b *brief, o *briefOp, seq uint64, m *briefMemory) bool {
	l := &b.links[o.link]
	ch, n := l.ch, uint32(o.size)
	ln := ch.lane
	if ln.out == nil || ch.peer.deaf != nil || ln.control.len() > 0 || ln.inflight.len() > 0 ||
		!ch.room(n+transport.HeaderBytes) {
		return false
	}
	l.header.Seq, l.header.Step, l.header.Length, l.header.Credit = seq, o.frame, n, ch.taken
	first := m.part(o.first.a, o.first.size)
	if ln.inliner == nil || len(o.more) > 0 || !ln.inliner.Post(&l.header, first) {
		payload := [2][]byte{first}
		if len(o.more) > 0 {
			payload[1] = m.part(o.more[0].a, o.more[0].size)
		}
		ok, err := ln.out.Send(&l.header, payload)
		if err != nil || !ok {
			return false // an error stays: it comes again when the frame is offered again
		}
	}
	ch.sent += n + transport.HeaderBytes
	ch.told = ch.taken
	if o.size > ln.inline {
		if sent, _ := ln.out.Sent(); sent != ln.reaped+1 {
			b.lent = true
			return false
		}
	}
	ln.reaped++
	return true
}

// receiveBrief takes a frame whole, and reports whether it was there.
func (e *engine) receiveBrief(b *brief, o *briefOp, r *request, seq uint64, m *briefMemory) bool {
	l := &b.links[o.link]
	l.header.Seq, l.header.Step, l.header.Length = seq, o.frame, uint32(o.size)
	looks := b.looks
	if in := l.ch.from.inliner; in != nil {
		payload, credit, ok := l.pick(in, looks)
		if !ok && b.turn && e.wanted.Load() == 0 { // the turn stays here, but not when another goroutine wants it
			e.patience.Turn()
			payload, credit, ok = l.pick(in, looks)
		}
		if ok {
			if !e.credited(l.ch, credit) {
				return false
			}
			m.absorb(o, r, payload)
			e.tookBrief(l.ch, o)
			return true
		}
		looks = 0
	} else if b.turn { // to look there is a system call, mostly
		looks = 0
	}
	if !l.await(looks) || !b.take(l.ch.from, o, r, m) {
		return false
	}
	e.tookBrief(l.ch, o)
	return true
}

func (e *engine) tookBrief(ch *channel, o *briefOp) {
	if ch.take(uint32(o.size) + transport.HeaderBytes) {
		e.giveCredit(ch)
		e.attend() // which sees to it that the credit goes, should the link not take it now
	}
}

// pick looks for the frame whose header is set until it is there, a number of times, and takes it.
func (l *briefLink) pick(in transport.Inliner, looks int) (payload []byte, credit uint32, ok bool) {
	for ; looks >= 0 && !ok; looks-- {
		payload, credit, ok = in.Pick(&l.header)
	}
	return payload, credit, ok
}

// await looks for the frame whose header is set until it is there, a number of times. What is not that frame
// stays.
func (l *briefLink) await(looks int) bool {
	from := l.ch.from
	h, err := from.Next()
	for ; h == nil; looks-- {
		if err != nil || looks == 0 {
			return false
		}
		h, err = from.Next()
	}
	w := &l.header
	if h.Kind == w.Kind && h.Flags == w.Flags && h.Epoch == w.Epoch && h.Comm == w.Comm && h.Seq == w.Seq &&
		h.Step == w.Step && h.Length == w.Length && h.Fingerprint.Equal(&w.Fingerprint) && l.ch.ack(h.Credit) {
		return true
	}
	from.stall(h)
	return false
}

// take applies the payload of the head frame to the operation that expects it, and reports whether
// all of it was there.
func (b *brief) take(l *inLink, o *briefOp, r *request, m *briefMemory) bool {
	for b.got < o.size {
		n := 0
		if o.kind == schedule.Recv {
			n, _ = l.Read(m.rest(o, b.got)) // an error comes again
		} else if y, _ := l.Peek(); len(y) == o.size {
			if m.absorb(o, r, y); b.comm.failed != nil { // a function has panicked
				return false
			}
			n = o.size
			l.Discard(n)
		}
		if n == 0 {
			return false
		}
		b.got += n
	}
	b.got = 0
	return true
}

// resume makes c, which has been reset, go on where its brief form has stopped.
func (c *call) resume(b *brief) {
	c.scratch.mem, b.scratch = b.scratch, c.scratch.mem // what the link still has stays the call's
	c.buf[schedule.Scratch] = c.scratch.mem
	done := uint64(0) // a bit for each of up to briefOps operations
	for i := range b.ops[:b.at] {
		o := &b.ops[i]
		cl := &c.links[o.link]
		switch o.kind {
		case schedule.Send:
			cl.sendAt++
			cl.ended++
		case schedule.Recv, schedule.RecvReduce:
			cl.recvAt++
		}
		c.opDone(o.index)
		done |= 1 << o.index
	}
	c.ready = slices.DeleteFunc(c.ready, func(i int32) bool { return done>>i&1 == 1 })
	o := &b.ops[b.at]
	cl := &c.links[o.link]
	if b.lent {
		cl.ch.lane.inflight.push(lent{cl: cl, op: o.index})
		cl.sendAt++
	}
	cl.got = b.got
	b.lent, b.got = false, 0
}
