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
	if err != nil {
		return nil, e.links.DialError(peer, at, err)
	}
	return l, nil
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
	ctx, leave, err := e.links.Enter(ctx, peer)
	if err != nil {
		return "no address", nil, err
	}
	defer leave()
	there, err := decodeAddress(encoded)
	if err != nil {
		return "an unknown address", nil, err
	}
	if err := e.reaches(&there); err != nil {
		return there.name, nil, err
	}
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
	if err := e.links.Enlist(l); err != nil {
		return there.name, nil, err
	}
	e.log.Debug("shm: connected", "link", l)
	return there.name, l, nil
}

// connect opens the socket.
func (e *endpoint) connect(ctx context.Context, name string) (*net.UnixConn, error) {
	tries := attach.NewTries(ctx, firstPause, longestPause, patientTime)
	for {
		var dialer net.Dialer
		c, err := dialer.DialContext(ctx, "unix", name)
		switch {
		case err == nil:
			return c.(*net.UnixConn), nil
		case errors.Is(err, syscall.EAGAIN) && tries.Again(ctx):
			continue
		case ctx.Err() != nil:
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return nil, err
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
