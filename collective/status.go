package collective

import (
	"context"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// statusAfter is how long a call waits before it tells those it waits for which call it is in; the
// next times come after twice as long each. It finds calls that differ where all ranks wait and
// nobody sends, such as broadcasts with crossed roots, and dials peers that have not dialled.
const statusAfter = 250 * time.Millisecond

// due returns when the call should next tell its status, after its start.
func (c *call) due() time.Duration { return max(statusAfter, 2*c.told) }

// lasted returns for how long the call has been under way.
func (c *call) lasted() time.Duration {
	if c.started.IsZero() {
		return 0
	}
	return time.Since(c.started)
}

// nextStatus returns when the first call under way should tell its status, zero when there is none.
func (e *engine) nextStatus() (t time.Time) {
	for _, c := range e.active {
		if at := c.started.Add(c.due()); t.IsZero() || at.Before(t) {
			t = at
		}
	}
	return t
}

// patient tells the status of calls that have waited long.
func (e *engine) patient() {
	for i := 0; i < len(e.active); i++ {
		c := e.active[i]
		waited := c.lasted()
		if waited < c.due() {
			continue
		}
		c.told = waited
		for k := range c.links {
			cl := &c.links[k]
			if cl.idle() || cl.ch.id.p2p {
				continue
			}
			if cl.peer.out == nil {
				e.dialLater(cl.peer, false)
				continue
			}
			e.tell(cl.peer, transport.Header{
				Kind: transport.Status, Comm: c.comm.id, Epoch: c.comm.epoch, Seq: c.seq,
				Fingerprint: *c.entry.fingerprint,
			}, nil)
			if c.done {
				i = -1
				break
			}
		}
	}
}

// dialLater opens a link to a peer in the background. The rule that the higher rank dials keeps
// two ranks from opening two links; a rank that has waited long, or has to tell why a communicator
// ended, breaks it. A peer that can't be reached is lost: it listened when it joined. A dial that
// matters beyond Close has Close wait for it, for a while.
func (e *engine) dialLater(p *peer, beyond bool) {
	if p.dialling || e.closed {
		return
	}
	p.dialling = true
	e.background.Go(func() {
		ctx := e.ctx
		if beyond {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.Background(), lingerFor)
			defer cancel()
		}
		l, err := e.dial(ctx, p)
		e.enter()
		defer e.mu.Unlock()
		p.dialling = false
		if err != nil {
			e.sweep() // as in connect
		}
		switch {
		case err == nil:
			e.attach(l)
			e.flushControl(p)
		case p.out == nil && !e.closed:
			e.log.Debug("dial out of turn", "rank", e.rank, "peer", p.rank, "err", err)
			e.lost(p, err)
			for _, c := range e.comms {
				if c.failed != nil {
					e.passOn(c)
				}
			}
		}
		e.attend()
		e.ep.Wake()
	})
}

// controlFrame takes the control frame at the head of a link. It reports whether the frame is gone
// and whether anything moved.
func (e *engine) controlFrame(p *peer, l *inLink, h *transport.Header) (gone, moved bool) {
	head := *h // it is gone with the payload
	for len(l.ctl) < int(head.Length) {
		if l.ctl == nil {
			l.ctl = make([]byte, 0, transport.MaxControl)
		}
		n, err := l.Read(l.ctl[len(l.ctl):head.Length])
		if err != nil {
			e.lost(p, err)
			return false, true
		}
		if n == 0 {
			return false, moved
		}
		l.ctl = l.ctl[:len(l.ctl)+n]
		moved = true
	}
	payload := l.ctl
	l.ctl = l.ctl[:0]
	e.control(p, &head, payload)
	return true, true
}

// control acts on a control frame.
func (e *engine) control(p *peer, h *transport.Header, payload []byte) {
	if h.Kind == transport.Credit {
		if ch := e.channelOf(p, h); ch != nil {
			e.credited(ch, h.Credit)
		}
		return
	}
	c := e.comms[h.Comm]
	if c != nil && (c.epoch != h.Epoch || c.rankOf(p) < 0) {
		return
	}
	if c == nil {
		switch h.Kind {
		case transport.Abort:
			e.abortEarly(p, h, payload)
		case transport.Goodbye:
			if ch := e.channelOf(p, h); ch != nil {
				ch.left = true
			}
		}
		return // a status is told again
	}
	switch h.Kind {
	case transport.Abort:
		r, err := decodeRecord(payload, c.size)
		if err != nil {
			e.protocol(c, p, "%v", err)
			return
		}
		c.knows[c.rankOf(p)] = true
		if c.failed == nil {
			e.fail(c, r)
		} else if r.cause != c.failed.cause || r.culprit != c.failed.culprit {
			e.fail(c, &record{text: "rank says: " + r.error().Error()})
		}
	case transport.Status:
		e.compare(c, p, h)
	case transport.Goodbye:
		rank := c.rankOf(p)
		c.left[rank] = true
		e.reap(p)
		for i := len(e.active) - 1; i >= 0; i-- {
			if i < len(e.active) && e.active[i].comm == c && e.active[i].needsPeer(p) {
				e.fail(c, &record{
					cause: causeAborted, culprit: rank, witness: c.rank, seqA: e.active[i].seq,
					callA: *e.active[i].entry.fingerprint, host: p.host, text: "it closed its communicator",
				})
			}
		}
	}
}

func (c *call) needsPeer(p *peer) bool {
	for i := range c.links {
		if c.links[i].peer == p && c.links[i].needs() {
			return true
		}
	}
	return false
}

// maxEarly bounds the aborts that are kept for communicators that this rank has yet to make.
const maxEarly = 64

// abortEarly keeps the abort of a communicator that this rank has yet to make.
func (e *engine) abortEarly(p *peer, h *transport.Header, payload []byte) {
	if _, ok := e.early[h.Comm]; ok || len(e.early) >= maxEarly {
		return
	}
	r, err := decodeRecord(payload, len(e.peers))
	if err != nil {
		e.protocol(nil, p, "%v", err)
		return
	}
	e.early[h.Comm] = r
}
