package proxy

import (
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// assembly is the message that is coming in on a link. A link that breaks takes its assembly with
// it: the message is sent again from its beginning.
type assembly struct {
	left      int // bytes of the head frame's payload that have not been taken
	under     bool
	duplicate bool // it was delivered by another link, or before
	seq       uint64
	step      uint32
	text      []byte // the meta, as far as it has come
	meta      meta
	known     bool // meta is whole
	body      []byte
	memory    *memory // that body lies in, nil when it is small
	got       int
	bytes     int64  // all so far
	control   []byte // the payload of a frame that is no message
	intro     *pendingIntro
}

// pendingIntro is an introduction that came before the store told who it is of.
type pendingIntro struct {
	text                []byte
	kind                string
	delivered, consumed uint64
}

// pollBatch bounds the frames taken from one link in one pass, so that others have their turn.
const pollBatch = 64

// poll takes what has arrived on a link.
func (e *engine) poll(l *link) (moved bool) {
	for range pollBatch {
		h, err := l.Next()
		if err != nil {
			e.broken(l, err)
			return true
		}
		if h == nil {
			return moved
		}
		if !l.seen {
			l.seen, l.in.left = true, int(h.Length)
			err = e.begin(l, h)
			moved = true
		}
		left, done := l.in.left, false
		if err == nil {
			done, err = e.payload(l, h)
		}
		if err != nil {
			e.broken(l, &transport.LinkError{
				Phase: "receive", Rank: e.self.Incarnation, Peer: l.incarnation, Address: l.String(), Err: err,
				Remedy: "both ends have to run the same version of Tutti",
			})
			return true
		}
		if !done {
			return moved || l.in.left < left // a body on its way is worth a wait
		}
		l.seen, moved = false, true
	}
	return true
}

// begin looks at the header of a frame.
func (e *engine) begin(l *link, h *transport.Header) error {
	l.heard = e.now()
	delivered, consumed := acks(h.Fingerprint[:])
	if h.Kind == transport.Status && h.Step == stepIntroduction {
		return nil // its acknowledgements are looked at with its payload
	}
	p := l.peer
	if p == nil || !l.introduced {
		return fmt.Errorf("a %s frame before the introduction", h.Kind)
	}
	if err := e.acknowledged(p, delivered, consumed); err != nil {
		return err
	}
	switch h.Kind {
	case transport.Data:
		return e.beginFragment(l, p, h)
	case transport.Goodbye:
		p.left = true
		return nil
	case transport.Credit, transport.Status:
		return nil
	}
	return fmt.Errorf("a %s frame has no meaning here", h.Kind)
}

// beginFragment checks that a frame continues the stream.
func (e *engine) beginFragment(l *link, p *peer, h *transport.Header) error {
	a := &l.in
	if a.under {
		if h.Seq != a.seq || h.Step != a.step {
			return fmt.Errorf("part %d of message %d, want part %d of message %d", h.Step, h.Seq, a.step,
				a.seq)
		}
		if h.Length == 0 {
			return &WireError{"bytes of a part", 0, "at least 1"}
		}
		a.step++
		return nil
	}
	if h.Step != 0 || h.Length < metaFixedBytes {
		return fmt.Errorf("part %d of message %d has %d bytes, want a message's first part", h.Step,
			h.Seq, h.Length)
	}
	if h.Seq > p.inflow.delivered+1 {
		return &WireError{"number of a message", h.Seq, fmt.Sprint(p.inflow.delivered + 1)}
	}
	a.begin(p, h.Seq)
	return nil
}

// begin begins a message.
func (a *assembly) begin(p *peer, seq uint64) {
	a.under, a.known = true, false
	a.duplicate = seq <= p.inflow.delivered
	a.seq, a.step, a.text, a.body, a.got, a.bytes = seq, 1, a.text[:0], nil, 0, 0
	a.memory = nil
}

// whole says whether all of the message is there.
func (a *assembly) whole() bool { return a.known && uint64(a.got) == a.meta.bodyBytes }

// payload takes what is there of a frame's payload, and says whether that was all. Small messages
// follow each other in one frame.
func (e *engine) payload(l *link, h *transport.Header) (bool, error) {
	a := &l.in
	if h.Kind != transport.Data {
		return e.controlPayload(l, h)
	}
	for a.left > 0 {
		var err error
		n := 0
		switch {
		case !a.under:
			a.begin(l.peer, a.seq+1)
			continue
		case !a.known:
			n, err = e.takeMeta(l)
		case a.got < len(a.body):
			n, err = l.Read(a.body[a.got:min(len(a.body), a.got+a.left)])
			a.got += n
		default:
			a.grow(&e.pool)
			continue
		}
		a.left -= n
		a.bytes += int64(n)
		if err != nil || n == 0 {
			return false, err
		}
		if a.whole() {
			if a.left > 0 && (a.step > 1 || a.left < metaFixedBytes) {
				return false, &WireError{"bytes behind a message", uint64(a.left), "0, or another message"}
			}
			a.under = false
			e.complete(l, a)
		}
	}
	if a.under && !a.known {
		return false, fmt.Errorf("the first part of message %d ends within its meta", a.seq)
	}
	return true, nil
}

// complete hands a whole message on, unless another link was quicker.
func (e *engine) complete(l *link, a *assembly) {
	p := l.peer
	body, held := a.body, a.memory
	a.body, a.memory = nil, nil
	if a.duplicate || a.seq != p.inflow.delivered+1 {
		held.release()
		e.duplicates++
		p.inflow.ackDue = true
		return
	}
	e.deliver(p, &a.meta, body, held, a.bytes)
}

// takeMeta takes bytes of the meta, and parses it when it is whole.
func (e *engine) takeMeta(l *link) (int, error) {
	a := &l.in
	need := metaFixedBytes
	if len(a.text) >= metaFixedBytes {
		var err error
		if need, err = metaBytes(a.text); err != nil {
			return 0, err
		}
	}
	n := 0
	if missing := min(need-len(a.text), a.left); missing > 0 {
		at := len(a.text)
		a.text = append(a.text, make([]byte, missing)...)
		var err error
		n, err = l.Read(a.text[at:])
		a.text = a.text[:at+n]
		if err != nil {
			return n, err
		}
	}
	if len(a.text) < metaFixedBytes {
		return n, nil
	}
	whole, err := metaBytes(a.text)
	if err != nil || len(a.text) < whole {
		return n, err
	}
	if err := a.meta.parse(a.text, e.maxMessage); err != nil {
		return n, err
	}
	if f := &l.peer.inflow; f.unconsumed > e.window && !a.duplicate && !a.meta.answer() {
		return n, &WireError{
			"bytes sent beyond what was received", uint64(f.unconsumed), fmt.Sprint("at most ", e.window),
		}
	}
	a.known = true
	return n, nil
}

// bodyStep is how much memory is made at once for a body of which less has arrived.
const bodyStep = 16 << 20

// grow finds memory for more of the body: all of it when it was released before, or is small, and
// else makes twice what has arrived, so that a claim alone costs nothing.
func (a *assembly) grow(p *pool) {
	total := a.meta.bodyBytes
	if a.got == 0 {
		if a.memory = p.take(int(total)); a.memory != nil {
			a.body = a.memory.bytes[:total]
			return
		}
	}
	size := min(total, uint64(max(bodyStep, 2*a.got)))
	body := make([]byte, size)
	copy(body, a.body)
	a.body = body
	if size == total {
		a.memory = p.adopt(body)
	}
}

// controlPayload takes the payload of a frame that is no message.
func (e *engine) controlPayload(l *link, h *transport.Header) (bool, error) {
	a := &l.in
	if h.Length == 0 {
		return true, nil
	}
	if a.control == nil {
		a.control = make([]byte, 0, h.Length) // at most transport.MaxControl
	}
	n, err := l.Read(a.control[len(a.control):cap(a.control)])
	a.control, a.left = a.control[:len(a.control)+n], a.left-n
	if err != nil || a.left > 0 {
		return false, err
	}
	text := a.control
	a.control = nil
	if h.Kind != transport.Status || h.Step != stepIntroduction {
		return true, nil // of a later version: not for us
	}
	delivered, consumed := acks(h.Fingerprint[:])
	return true, e.introducedBy(l, text, delivered, consumed)
}

// deliver takes a message into the proxy.
func (e *engine) deliver(p *peer, m *meta, body []byte, held *memory, size int64) {
	f := &p.inflow
	f.delivered++
	f.unacked++
	f.unackedB += size
	f.ackDue = true
	e.receivedMessages++
	e.receivedBytes += uint64(size)
	in := inbound{
		proxy: e.proxy, peer: p, incarnation: p.rec.Incarnation, stream: p, streamInc: p.rec.Incarnation,
		kind: m.sessionType, session: m.session, message: m.message,
		failed: m.flags&flagFailure != 0, stage: m.stage, size: size, memory: held,
	}
	if m.flags&flagReply != 0 {
		in.re = m.re
	}
	if !m.answer() {
		f.ordinal++
		f.unconsumed += size
		in.ordinal = f.ordinal
	}
	switch {
	case m.flags&flagVoid != 0:
		e.consumed(&in)
	case m.flags&(flagRelay|flagAgain) != 0 && !e.relayed(m, body, &in):
		e.duplicates++
		e.consumed(&in)
	case m.answer() && !e.answered(p, m):
		e.late++
	case m.flags&flagReceipt != 0: // there is nothing else in it
	default:
		e.arrived(newItem(e, m, body, &in))
		held = nil
	}
	held.release()
	if f.overdue() {
		e.flushSoon(p)
	}
}

// answer says whether a message ends, or moves, a session: it is not bounded by the window but by
// what was sent.
func (m *meta) answer() bool {
	return m.flags&flagReply != 0 && (m.sessionType == Task || m.flags&flagReceipt != 0)
}
