package proxy

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/internal/stack"
	"github.com/tutti-ml/tutti/transport"
)

// Times of dialling.
const (
	dialTimeout    = 10 * time.Second
	firstRedial    = 10 * time.Millisecond
	lastRedial     = time.Second
	fallbackToDial = time.Second // for who should be dialled, and is not
	steadyTime     = time.Second // a link that lasts longer was a good one
)

var errNoAnswer = errors.New("no answer for " + dialTimeout.String())

// dialer opens the links to a peer.
type dialer struct {
	since time.Time // when the incarnation became known, or the last link was lost
	next  time.Time // not before
	pause time.Duration
	busy  bool
}

// again notes at now that the last link, opened at some time, is lost. One that did not last lets
// the next dial wait longer, for a peer may break every link at once.
func (d *dialer) again(opened, now time.Time) {
	d.since, d.next = now, now
	if now.Sub(opened) < steadyTime {
		d.backOff(now)
	} else {
		d.pause = 0
	}
}

func (d *dialer) backOff(now time.Time) {
	d.pause = min(lastRedial, max(firstRedial, 2*d.pause))
	d.next = now.Add(d.pause)
}

// dials says from when on this end has to open a link to p. Where both expect each other, the
// higher incarnation does, so that there is one link and not two.
func (e *engine) dials(p *peer) time.Time {
	_, wanted := e.expect[p.rec.Type]
	mutual := slices.Contains(p.rec.Expects, e.self.Type)
	start := p.dialer.since
	if p.related && mutual && (!wanted || e.self.Incarnation < p.rec.Incarnation) {
		start = start.Add(fallbackToDial)
	}
	if p.dialer.next.After(start) {
		return p.dialer.next
	}
	return start
}

// wantsLink says whether there should be a link to p, and is none. With one that is known because
// of a relay only there has to be something to send.
func (e *engine) wantsLink(p *peer) bool {
	return p.out == nil && len(p.links) == 0 && (p.related || p.outbox.requests.head != nil)
}

// dial opens a link to p in the background.
func (e *engine) dial(p *peer) {
	r := p.rec
	p.dialer.busy = true
	e.background.Go(func() {
		stack.Deepen()
		ctx, cancel := context.WithCancelCause(e.ctx)
		defer cancel(nil)
		// The driver sees no deadline: with one it would go on trying until then, but the peer
		// listened before anybody knew its address, and who refuses now has ended.
		defer time.AfterFunc(dialTimeout, func() { cancel(errNoAnswer) }).Stop()
		l, err := e.ep.Dial(ctx, r.Incarnation, r.Addresses)
		e.enter()
		defer e.leave()
		e.clock = time.Now()
		p.dialer.busy = false
		switch {
		case err != nil:
			e.notDialled(p, &r, err)
		case e.closed || p.rec.Incarnation != r.Incarnation:
			_ = l.Close() // nothing was sent on it
		default:
			e.attach(l)
		}
	})
}

// notDialled tries again later, or takes note that the process is gone.
func (e *engine) notDialled(p *peer, r *record, err error) {
	if e.closed || p.rec.Incarnation != r.Incarnation {
		return
	}
	p.dialer.backOff(e.now())
	e.log.Debug("no link", "peer", p.name(), "error", err)
	if len(p.links) == 0 && refused(err) {
		e.away(p, r, errors.Join(errRefused, err))
	}
}

// refused says whether nobody listens at an address any more, or somebody else.
func refused(err error) bool {
	var hello *transport.HelloError
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) ||
		errors.Is(err, transport.ErrClosed) ||
		errors.As(err, &hello) && hello.Reason == transport.HelloTarget
}

// bindStrangers gives the links of incarnations that are known now to their peers.
func (e *engine) bindStrangers() {
	for _, l := range slices.Clone(e.links) {
		if l.peer != nil || l.closed || !e.bind(l) {
			continue
		}
		if i := l.in.intro; i != nil && !l.closed {
			l.in.intro = nil
			if err := e.introducedBy(l, i.text, i.delivered, i.consumed); err != nil {
				e.broken(l, err)
			}
		}
	}
}

// lookFor makes the roster look for whom a link belongs to.
func (e *engine) lookFor(l *link) {
	if i := l.in.intro; i != nil && e.roster != nil && checkName("type", i.kind) == nil {
		e.roster.watchAlso(i.kind)
	}
	e.wantRoster()
}

// wantRoster makes the roster look at the store: somebody has connected whom it does not know.
func (e *engine) wantRoster() {
	if e.roster == nil || e.looking || e.closed {
		return
	}
	e.looking = true
	r := e.roster
	e.background.Go(func() {
		err := r.refresh(e.ctx) // what is new is applied by then
		e.enter()
		defer e.leave()
		e.looking = false
		if err != nil && !e.closed {
			e.log.Debug("the store was not read", "error", err)
		}
	})
}

// tickEvery bounds how often tick looks at all peers and links while messages go by.
const tickEvery = 20 * time.Millisecond

// tick does what depends on time, and returns when it has to be called again.
func (e *engine) tick() time.Time {
	now := time.Now()
	e.clock, e.ticked = now, now
	next := now.Add(heartbeatTime)
	e.pool.trim(now)
	e.stage.trim(now)
	for _, l := range slices.Clone(e.links) {
		next = earlier(next, e.tickLink(l, now))
	}
	for _, p := range e.peers {
		next = earlier(next, e.tickRelayed(p, now))
		if p.expected() && e.wantsLink(p) && !p.dialer.busy {
			at := e.dials(p)
			if at.After(now) {
				next = earlier(next, at)
			} else {
				e.dial(p)
			}
		}
		if !p.present && p.lost == nil && e.rejoin != nil {
			end := p.away.Add(e.rejoin.Timeout)
			if now.Before(end) {
				next = earlier(next, end)
			} else {
				p.lost = p.cause
				e.failAll(p, p.cause)
				e.changed()
			}
		}
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// tickLink sends a heartbeat where nothing else was sent, ends a link on which nothing comes in,
// and returns when to look at it again.
func (e *engine) tickLink(l *link, now time.Time) time.Time {
	switch {
	case l.peer == nil:
		if end := l.opened.Add(strangerTime); now.Before(end) {
			return end
		}
		e.broken(l, errors.New("the store does not tell of its incarnation"))
		return now.Add(heartbeatTime)
	case !l.introSent:
		e.introduce(l)
		return now.Add(firstRedial)
	case now.Sub(l.heard) > silenceTime:
		e.broken(l, errSilent)
		return now.Add(heartbeatTime)
	}
	if now.Sub(l.spoke) >= heartbeatTime {
		l.spoke = now // tried, at least: a link that takes nothing now has more to send
		if l.introduced {
			if err := e.control(l, transport.Status, stepHeartbeat, nil, nil); err != nil {
				e.broken(l, err)
			}
		}
	}
	return l.spoke.Add(heartbeatTime)
}
