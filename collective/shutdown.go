package collective

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

const (
	// lingerFor bounds how long Close sees to it that peers learn why communicators have ended, and
	// that links take the frames which wait for them.
	lingerFor = 5 * time.Second
	// lingerStep is how long it waits at a time, and for how long for the links there are alone.
	lingerStep = 50 * time.Millisecond
	// lingerRound is how long it waits for the answer of a peer that was told on a second link.
	lingerRound = 2 * time.Second
	// lingerHealthy bounds how long the endpoint waits for what communicators have sent that have
	// not failed: the call that sent it has returned, and the peer that is late may still make it.
	lingerHealthy = 30 * time.Second
)

// shutdown ends the engine: frames that wait for a link go out, the background ends, the endpoint
// closes, and what the first communicator brought along is released.
func (e *engine) shutdown() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.ep.Wake()
	e.background.Wait()

	e.linger()

	e.mu.Lock()
	if e.unwatch != nil {
		e.unwatch()
	}
	release := e.release
	e.release = nil
	e.mu.Unlock()
	err := e.ep.Close()
	e.mu.Lock()
	e.scratch.close()
	e.mu.Unlock()
	if release != nil {
		err = errors.Join(err, release())
	}
	return err
}

// linger waits, for a while, until every peer has what it is owed.
func (e *engine) linger() {
	ctx, cancel := context.WithTimeout(context.Background(), lingerFor)
	begin := time.Now()
	e.mu.Lock()
	for time.Since(begin) < lingerFor {
		e.sweep()
		if !slices.ContainsFunc(e.peers, e.unsettled) {
			break
		}
		if time.Since(begin) >= lingerStep {
			e.goRound(ctx)
		}
		e.parked = true
		e.mu.Unlock()
		e.ep.Wait(time.Now().Add(lingerStep))
		e.mu.Lock()
		e.parked = false
	}
	e.mu.Unlock()
	cancel()
	e.background.Wait()
	e.mu.Lock()
	e.letGo()
	e.mu.Unlock()
}

// unsettled reports whether there is something to wait for with a peer: frames that its link has not
// taken, or its word that it knows why a communicator has ended.
func (e *engine) unsettled(p *peer) bool {
	if !e.owes(p) && !e.uninformed(p) {
		return false
	}
	return p.second == nil || time.Since(p.rounded) < lingerRound
}

// goRound tells peers that read nothing why communicators have ended, each on a second link. The
// first one is full, or its system's memory is, of a call that this rank has given up, and is cut
// when the endpoint closes: who finds only that, and not the cause that waited behind it, takes this
// rank for the culprit. Nothing but an abort may overtake what was sent.
func (e *engine) goRound(ctx context.Context) {
	for _, p := range e.peers {
		if p == nil || p.rounding || !e.uninformed(p) {
			continue
		}
		p.rounding = true
		aborts := e.abortsFor(p)
		e.background.Go(func() {
			l, err := e.dial(ctx, p)
			if err != nil {
				e.log.Debug("no way round a full link", "rank", e.rank, "peer", p.rank, "err", err)
				return
			}
			e.enter()
			defer e.mu.Unlock()
			for i := range aborts {
				ok, err := l.Send(&aborts[i].header, [2][]byte{aborts[i].payload})
				if !ok || err != nil {
					e.log.Debug("no way round a full link", "rank", e.rank, "peer", p.rank, "err", err)
					break
				}
			}
			p.second, p.rounded = l, time.Now()
			e.attach(l)
		})
	}
}

// quit ends the calls of a communicator that is being closed. The peers in them can't end theirs,
// and need not wait until they have read all that was sent to find that out.
func (e *engine) quit(c *Comm) {
	in := e.currentCall(c)
	for i := len(e.active) - 1; i >= 0; i-- {
		if e.active[i].comm == c {
			e.finish(e.active[i], ErrClosed)
		}
	}
	if in != nil {
		e.fail(c, c.quits(in, "it closed its communicator", nil))
	}
}

// letGo closes the links to peers with which all communicators have failed, but for a second one that
// is to tell them: what is still to be sent on the first is of calls that have been given up, and
// the endpoint would wait until they read it.
func (e *engine) letGo() {
	for _, p := range e.peers {
		if p == nil || e.healthy(p) {
			continue
		}
		informed := !e.uninformed(p)
		for _, l := range p.links {
			if informed || l.Link != p.second {
				_ = l.Close() // its error tells nothing that matters any more
			}
		}
	}
}

// healthy reports whether a communicator with the peer has not failed.
func (e *engine) healthy(p *peer) bool {
	for _, c := range e.comms {
		if c.failed == nil && c.rankOf(p) >= 0 {
			return true
		}
	}
	return false
}

// ignorant reports whether a peer may not know why a communicator has ended: it has not said so
// itself, nor left, nor is it the one that is gone.
func (c *Comm) ignorant(p *peer) bool {
	r := c.rankOf(p)
	return c.failed != nil && r >= 0 && !c.gone(r) && !c.knows[r] &&
		(c.failed.cause != causeFailed || c.failed.culprit != r)
}

// uninformed reports whether a peer that has a link may not know why some communicator has ended.
func (e *engine) uninformed(p *peer) bool {
	if p == nil || p.err != nil || p.out == nil {
		return false
	}
	for _, c := range e.comms {
		if c.ignorant(p) {
			return true
		}
	}
	return false
}

// abortsFor returns the first causes that a peer may not know.
func (e *engine) abortsFor(p *peer) (aborts []control) {
	for _, c := range e.comms {
		if c.ignorant(p) {
			payload := c.failed.encode()
			aborts = append(aborts, control{transport.Header{
				Kind: transport.Abort, Comm: c.id, Epoch: c.epoch, Length: uint32(len(payload)),
			}, payload})
		}
	}
	return aborts
}

// unflushed reports whether frames still wait for a link to take them.
func (e *engine) unflushed() bool { return slices.ContainsFunc(e.peers, e.owes) }

// owes reports whether frames for a peer still wait for the link to take them.
func (e *engine) owes(p *peer) bool {
	if p == nil || p.err != nil || p.out == nil || !p.laden() {
		return false
	}
	// A frame about credit can usually go, or has gone, and no call has asked: its own frames were in the way.
	e.flushControl(p)
	e.reap(p)
	return p.deaf == nil && p.laden()
}
