//go:build linux || darwin

package zmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// endpoint is one rank's attachment. turn stands for the turn of the goroutine that calls its
// methods, see link.
type endpoint struct {
	driver    driver
	c         transport.Config
	log       *slog.Logger
	self      transport.Identity
	at        addresses // where peers reach this endpoint
	encoded   []byte
	allowed   []local // addresses at which TCP connections are taken; nil: all
	filter    transport.Filter
	locals    func() ([]local, error) // lists this host's addresses once, when they are needed
	listeners []net.Listener
	cleanup   func() error // of the Unix socket
	turn      sync.Mutex
	links     attach.Links[*link]
	parking   *transport.Parking
}

var _ transport.Endpoint = (*endpoint)(nil)

// Open attaches a rank: it listens, and takes connections from now on. The error is a
// *transport.LinkError.
func (d *driver) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	e, err := d.open(ctx, c)
	if err != nil {
		return nil, &transport.LinkError{
			Phase: "listen", Rank: c.Rank, Peer: -1, Address: describeListen(c, d.mode), Err: err,
			Remedy: remedy(err),
		}
	}
	return e, nil
}

func describeListen(c transport.Config, m Mode) string {
	if c.Listen == "" {
		return m.String()
	}
	return c.Listen
}

func (d *driver) open(ctx context.Context, c transport.Config) (*endpoint, error) {
	if err := attach.Complete(&c); err != nil {
		return nil, err
	}
	e := &endpoint{
		driver: *d, c: c, log: c.Logger,
		self: attach.Identity(&c),
		at:   addresses{host: c.HostID, space: attach.Namespace()}, locals: sync.OnceValues(locals),
	}
	if err := e.links.Open(attach.Endpoint[*link]{
		Driver: "zmq", Config: c, Turn: &e.turn, Remedy: remedy, Drop: (*link).Close, GiveWay: giveWay,
	}); err != nil {
		return nil, err
	}
	e.parking = transport.NewParking(e)
	err := e.listen(ctx)
	if err == nil {
		e.encoded, err = e.at.encode()
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	for _, l := range e.listeners {
		e.links.Serve(l, e.welcome)
	}
	return e, nil
}

// Addresses returns where peers reach the endpoint, for their Dial.
func (e *endpoint) Addresses() []byte { return slices.Clone(e.encoded) }

// Accept returns a link that a peer has opened.
func (e *endpoint) Accept() transport.Link { return e.links.Accept() }

// Wake ends a Wait.
func (e *endpoint) Wake() { e.links.Wakeup.Ring() }

// link makes a link of a connection that is past its hello. It owns conn, whatever it returns.
func (e *endpoint) link(conn net.Conn, peer int) (*link, error) {
	network, local, remote := conn.LocalAddr().Network(), conn.LocalAddr(), conn.RemoteAddr()
	text := fmt.Sprintf("zmq %s, rank %d at %s, rank %d at %s", network, e.c.Rank, attach.Name(local), peer,
		attach.Name(remote))
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	fd, err := attach.TakeOver(conn)
	if err != nil {
		return nil, errors.Join(err, attach.CloseQuietly(conn))
	}
	return newLink(fd, link{
		turn: &e.turn, rank: e.c.Rank, peer: peer, maxPayload: e.c.MaxPayload, text: text,
		address: attach.Name(remote), local: remote.Network() == "unix", onClose: e.links.Forget,
	}), nil
}

// Close closes all links and ends all goroutines. A second call waits for the first and returns
// the same.
func (e *endpoint) Close() error { return e.links.Close(e.stop, e.finish) }

// stop ends the listening.
func (e *endpoint) stop() error {
	var errs []error
	for _, l := range e.listeners {
		errs = append(errs, l.Close())
	}
	if e.cleanup != nil {
		errs = append(errs, e.cleanup())
	}
	return errors.Join(errs...)
}

// finish ends all links. The turn is held.
func (e *endpoint) finish(all []*link) error {
	e.linger(all)
	var errs []error
	for _, l := range all {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}
