//go:build linux

package shm

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

const (
	// maxHandshakes go on at once; who comes then waits in the system's queue.
	maxHandshakes = 64
	// refusalsLogged is how many refusals are logged one by one; from then on only the 32nd, the
	// 64th and so on are.
	refusalsLogged = 20
)

// accept takes connections until the listener is closed, and lets each say hello in a goroutine of
// its own.
func (e *endpoint) accept() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case e.slots <- struct{}{}:
		case <-e.ctx.Done():
			return
		}
		c, err := e.listener.AcceptUnix()
		if err != nil {
			<-e.slots
			if e.ctx.Err() != nil {
				return
			}
			// As a rule too many open files: the connection stays in the system's queue.
			e.refuse(-1, "can't take a connection", err)
			pause.Reset(100 * time.Millisecond)
			select {
			case <-pause.C:
				continue
			case <-e.ctx.Done():
				return
			}
		}
		e.group.Go(func() {
			defer func() { <-e.slots }()
			e.receive(c)
		})
	}
}

// receive does the accepting end of a handshake, and queues the link that comes of it.
func (e *endpoint) receive(c *net.UnixConn) {
	l, err := e.welcome(c)
	if err == nil {
		if e.queue(l) {
			e.log.Debug("shm: accepted", "link", l)
			return
		}
		e.turn.Lock()
		err = l.close()
		e.turn.Unlock()
	}
	if err != nil && e.ctx.Err() == nil {
		failure := transport.HelloLinkError(e.c.Rank, e.at.name, err)
		e.refuse(failure.Peer, "refused a connection", err)
	}
}

func (e *endpoint) refuse(peer int, what string, err error) {
	n := e.refusals.Add(1)
	if n > refusalsLogged && bits.OnesCount64(n) != 1 {
		return
	}
	e.log.Warn("shm: "+what, "rank", e.c.Rank, "claimed rank", peer, "at", e.at.name, "error", err,
		"remedy", remedy(err), "so far", n)
}

// welcome does the accepting end of hello and offer. It owns c, whatever it returns.
func (e *endpoint) welcome(c *net.UnixConn) (_ *link, err error) {
	defer func() {
		if err != nil {
			_ = attach.CloseQuietly(c) // the error that counts is there already
		}
	}()
	if err := attach.SameUser(c, errUser); err != nil {
		return nil, err
	}
	end, err := attach.Limit(e.ctx, c)
	if err != nil {
		return nil, err
	}
	peer, err := transport.HelloAccept(attach.Identity(&e.c), e.c.Secret, transport.StreamExchange(c))
	if err != nil {
		return nil, errors.Join(err, end())
	}
	seg, err := accept(c)
	if err = errors.Join(err, end()); err != nil {
		release(seg.mem)
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("rank %d gave up after its hello: %w", peer.Rank, err)
		}
		return nil, err
	}
	return e.link(c, seg, peer.Rank, "the socket that it dialled, "+e.at.name)
}
