//go:build linux

package shm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

const (
	// A dial to a socket whose queue is full is tried again after firstPause, then after twice as
	// long each time, up to longestPause.
	firstPause   = time.Millisecond
	longestPause = 100 * time.Millisecond
	// patientTime is for how long it is tried again when ctx has no deadline.
	patientTime = 5 * time.Second
)

// Dial opens a link to a peer. A rank listens before anybody knows its address, so who refuses has
// ended; only a peer that is busy with others is tried again, until ctx ends or, when that has no
// deadline, for some seconds.
func (e *endpoint) Dial(ctx context.Context, peer int, encoded []byte) (transport.Link, error) {
	at, l, err := e.dial(ctx, peer, encoded)
	if err == nil {
		return l, nil
	}
	failure := transport.HelloLinkError(e.c.Rank, at, err)
	failure.Peer, failure.Remedy = peer, remedy(err)
	var hello *transport.HelloError
	if !errors.As(err, &hello) {
		failure.Phase = "dial"
	}
	return nil, failure
}

// Reaches tells, from its addresses alone, why a peer can't be reached, nil when it should be: the
// error is ErrElsewhere, or that these are no addresses.
func (e *endpoint) Reaches(encoded []byte) error {
	there, err := decodeAddress(encoded)
	if err != nil {
		return err
	}
	return e.reaches(&there)
}

func (e *endpoint) reaches(there *address) error {
	if there.host != e.at.host || there.space != e.at.space {
		return ErrElsewhere
	}
	return nil
}

func (e *endpoint) dial(ctx context.Context, peer int, encoded []byte) (string, *link, error) {
	if peer < 0 || peer >= e.c.Size || peer == e.c.Rank {
		return "no address", nil, fmt.Errorf("rank %d of %d dials rank %d", e.c.Rank, e.c.Size, peer)
	}
	if e.closing.Load() {
		return "no address", nil, transport.ErrClosed
	}
	there, err := decodeAddress(encoded)
	if err != nil {
		return "an unknown address", nil, err
	}
	if err := e.reaches(&there); err != nil {
		return there.name, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.ctx, func() { cancel(transport.ErrClosed) })()
	c, err := e.connect(ctx, there.name)
	if err != nil {
		return there.name, nil, err
	}
	seg, err := e.introduce(ctx, c, peer)
	if err != nil {
		return there.name, nil, errors.Join(err, attach.CloseQuietly(c))
	}
	l, err := e.link(c, seg, peer, there.name)
	if err != nil {
		return there.name, nil, err
	}
	if !e.enlist(l) {
		e.turn.Lock()
		defer e.turn.Unlock()
		return there.name, nil, errors.Join(transport.ErrClosed, l.close())
	}
	e.log.Debug("shm: connected", "link", l)
	return there.name, l, nil
}

// connect opens the socket.
func (e *endpoint) connect(ctx context.Context, name string) (*net.UnixConn, error) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	_, bounded := ctx.Deadline()
	begin := time.Now()
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, "unix", name)
		switch {
		case err == nil:
			return c.(*net.UnixConn), nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case !errors.Is(err, syscall.EAGAIN), !bounded && time.Since(begin) > patientTime:
			return nil, err
		}
		pause.Reset(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// introduce does the dialling end of hello and offer.
func (e *endpoint) introduce(ctx context.Context, c *net.UnixConn, peer int) (segment, error) {
	if err := attach.SameUser(c, errUser); err != nil {
		return segment{}, err
	}
	end, err := attach.Limit(ctx, c)
	if err != nil {
		return segment{}, err
	}
	_, err = transport.HelloDial(attach.Identity(&e.c), peer, e.c.Secret, transport.StreamExchange(c))
	var seg segment
	if err == nil {
		seg, err = offer(c, e.stream)
	}
	if cause := end(); cause != nil {
		err = errors.Join(cause, err)
	}
	if err != nil && seg.mem != nil {
		release(seg.mem)
	}
	return seg, err
}
