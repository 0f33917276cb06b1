package collective

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

const (
	// lingerFor bounds how long Close sees to frames that a link has not taken yet.
	lingerFor = 2 * time.Second
	// lingerStep is how long it waits at a time, and for how long for the links there are alone.
	lingerStep = lingerFor / 40
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
	if release != nil {
		err = errors.Join(err, release())
	}
	return err
}

// linger waits, for a while, for links to take the frames that wait for them.
func (e *engine) linger() {
	ctx, cancel := context.WithTimeout(context.Background(), lingerFor)
	begin := time.Now()
	e.mu.Lock()
	for time.Since(begin) < lingerFor {
		e.sweep()
		if !e.unflushed() {
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
}

// goRound tells peers that read nothing why communicators have ended, each on a second link. The
// first one is full, of a call that this rank has given up, and is cut when the endpoint closes:
// who finds only that, and not the cause that waited behind it, takes this rank for the culprit.
// Nothing but an abort may overtake what was sent.
func (e *engine) goRound(ctx context.Context) {
	for _, p := range e.peers {
		if p == nil || p.rounded || !e.owes(p) {
			continue
		}
		aborts := e.abortsFor(p)
		if len(aborts) == 0 {
			continue
		}
		p.rounded = true
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
			e.attach(l)
		})
	}
}

// abortsFor returns the first causes of the communicators with the peer that have ended, but for
// those that it has left, or that ended because it is gone.
func (e *engine) abortsFor(p *peer) (aborts []control) {
	for _, c := range e.comms {
		r := c.rankOf(p)
		if c.failed == nil || r < 0 || c.gone(r) ||
			c.failed.cause == causeFailed && c.failed.culprit == r {
			continue
		}
		payload := c.failed.encode()
		aborts = append(aborts, control{transport.Header{
			Kind: transport.Abort, Comm: c.id, Epoch: c.epoch, Length: uint32(len(payload)),
		}, payload})
	}
	return aborts
}

// unflushed reports whether frames still wait for a link to take them.
func (e *engine) unflushed() bool { return slices.ContainsFunc(e.peers, e.owes) }

// owes reports whether frames for a peer still wait for the link to take them.
func (e *engine) owes(p *peer) bool {
	if p == nil || p.err != nil || p.out == nil {
		return false
	}
	e.reap(p) // a frame about credit is usually gone, and no call has asked
	return p.deaf == nil && (p.control.len() > 0 || p.inflight.len() > 0)
}
