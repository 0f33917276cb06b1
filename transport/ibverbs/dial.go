//go:build ibverbs && cgo && linux

package ibverbs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

const (
	// connectTime bounds the opening of one connection.
	connectTime = 5 * time.Second
	// A dial that was refused, as a peer that is about to listen does, is tried again after
	// firstPause, then after twice as long each time, up to longestPause.
	firstPause   = 10 * time.Millisecond
	longestPause = time.Second
	// patientTime is for how long it is tried again when ctx has no deadline.
	patientTime = time.Second
)

// Dial opens a link to a peer. It tries again while nobody listens there, until ctx ends, or for a
// second when ctx has no deadline.
func (e *endpoint) Dial(ctx context.Context, peer int, encoded []byte) (transport.Link, error) {
	at, l, err := e.dial(ctx, peer, encoded)
	if err != nil {
		return nil, e.links.DialError(peer, at, err)
	}
	return l, nil
}

// Reaches tells, from its addresses alone, why a peer can't be reached, nil when it should be: both
// ends are on one InfiniBand subnet, or on one IP network. RoCE goes through routers, too, but
// where those are not set up for it only a dial would show that: such a peer has to be asked for by
// name of the driver.
func (e *endpoint) Reaches(encoded []byte) error {
	there, err := decodeAddresses(encoded)
	if err != nil {
		return err
	}
	if err := e.reaches(&there); err != nil {
		return err
	}
	if there.layer == infiniBand {
		if subnet(there.gid) != subnet(e.at.gid) {
			return ErrElsewhere
		}
		return nil
	}
	a := gid{raw: there.gid}.address()
	if a.IsLoopback() || !slices.ContainsFunc(e.networks, func(n netip.Prefix) bool {
		return n.Contains(a)
	}) {
		return ErrElsewhere
	}
	return nil
}

func (e *endpoint) reaches(there *addresses) error {
	if there.layer != e.at.layer {
		return ErrLinkLayer
	}
	return nil
}

// networksOf lists the IP networks that a GID's network interface is on.
func networksOf(g gid) (all []netip.Prefix) {
	i, err := net.InterfaceByName(g.of)
	if err != nil {
		return nil
	}
	list, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p.Masked())
		}
	}
	return all
}

func (e *endpoint) dial(ctx context.Context, peer int, encoded []byte) (string, *link, error) {
	ctx, leave, err := e.links.Enter(ctx, peer)
	if err != nil {
		return "no address", nil, err
	}
	defer leave() // Close waits for it: a dial uses the device
	there, err := decodeAddresses(encoded)
	if err != nil {
		return "an unknown address", nil, err
	}
	name := fmt.Sprintf("%v, port %d", there.ips, there.port)
	if err := e.reaches(&there); err != nil {
		return name, nil, err
	}
	c, err := e.connect(ctx, &there)
	if err != nil {
		return name, nil, err
	}
	name = c.RemoteAddr().String()
	l, err := e.introduce(ctx, c, peer)
	if err != nil {
		return name, nil, errors.Join(err, attach.CloseQuietly(c))
	}
	if err := e.links.Enlist(l); err != nil {
		return name, nil, err
	}
	e.log.Debug("ibverbs: connected", "link", l)
	return name, l, nil
}

// connect opens the connection: it goes through the addresses, and again.
func (e *endpoint) connect(ctx context.Context, there *addresses) (net.Conn, error) {
	tries := attach.NewTries(ctx, firstPause, longestPause, patientTime)
	for {
		var failed []error
		for _, ip := range there.ips {
			dialer := net.Dialer{Timeout: connectTime}
			at := netip.AddrPortFrom(ip, there.port).String()
			c, err := dialer.DialContext(ctx, "tcp", at)
			if err == nil {
				return c, nil
			}
			failed = append(failed, err)
		}
		err := errors.Join(failed...)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED) && tries.Again(ctx):
			continue
		case ctx.Err() != nil:
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return nil, err
	}
}

// introduce does the dialling end of hello and agreement.
func (e *endpoint) introduce(ctx context.Context, c net.Conn, peer int) (*link, error) {
	end, err := attach.Limit(ctx, c)
	if err != nil {
		return nil, err
	}
	_, err = transport.HelloDial(attach.Identity(&e.c), peer, e.c.Secret, transport.StreamExchange(c))
	var l *link
	if err == nil {
		l, err = e.agree(c, peer, true)
	}
	if cause := end(); cause != nil {
		if l != nil {
			err = errors.Join(err, l.drop())
		}
		return nil, errors.Join(cause, err)
	}
	return l, err
}
