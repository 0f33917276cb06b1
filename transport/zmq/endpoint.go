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
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// endpoint is one rank's attachment. turn stands for the turn of the goroutine that calls its
// methods, see link; mu guards what the accepting goroutines share with it.
type endpoint struct {
	driver    driver
	c         transport.Config
	log       *slog.Logger
	refusals  refusals
	self      transport.Identity
	at        addresses // where peers reach this endpoint
	encoded   []byte
	allowed   []local // addresses at which TCP connections are taken; nil: all
	here      []local // all addresses of this host that the filter allows
	listeners []net.Listener
	cleanup   func() error // of the Unix socket

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	group   sync.WaitGroup // the goroutines that accept
	slots   slots
	closing atomic.Bool
	closed  sync.Once
	err     error // of Close

	turn  sync.Mutex
	links []*link
	wake  *transport.Wakeup

	parking *transport.Parking

	mu       sync.Mutex
	accepted []*link
	waiting  atomic.Int32 // len(accepted)
	dialled  []*link      // that Wait has not seen yet: who dials must not need the turn
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
	wake, err := transport.NewWakeup()
	if err != nil {
		return nil, err
	}
	e := &endpoint{
		driver: *d, c: c, log: c.Logger, wake: wake,
		self: attach.Identity(&c),
		at:   addresses{host: c.HostID, space: attach.Namespace()},
	}
	e.refusals.log = e.log
	e.parking = transport.NewParking(e)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	err = e.listen(ctx)
	if err == nil {
		e.encoded, err = e.at.encode()
	}
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	for _, l := range e.listeners {
		e.group.Go(func() { e.accept(l) })
	}
	return e, nil
}

// Addresses returns where peers reach the endpoint, for their Dial.
func (e *endpoint) Addresses() []byte { return slices.Clone(e.encoded) }

// Accept returns a link that a peer has opened.
func (e *endpoint) Accept() transport.Link {
	if e.waiting.Load() == 0 {
		return nil
	}
	e.turn.Lock()
	defer e.turn.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.accepted) == 0 {
		return nil
	}
	l := e.accepted[0]
	e.accepted = slices.Delete(e.accepted, 0, 1)
	e.waiting.Store(int32(len(e.accepted)))
	e.links = append(e.links, l)
	return l
}

// queue hands a link over to Accept, false when the endpoint is closing.
func (e *endpoint) queue(l *link) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing.Load() {
		return false
	}
	e.accepted = append(e.accepted, l)
	e.waiting.Store(int32(len(e.accepted)))
	e.wake.Ring()
	return true
}

// enlist makes Wait look at a link that was dialled, false when the endpoint is closing.
func (e *endpoint) enlist(l *link) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing.Load() {
		return false
	}
	e.dialled = append(e.dialled, l)
	e.wake.Ring()
	return true
}

// enlisted moves the links that were dialled to the others. The turn is held.
func (e *endpoint) enlisted() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.links = append(e.links, e.dialled...)
	e.dialled = nil
}

// Wake ends a Wait.
func (e *endpoint) Wake() { e.wake.Ring() }

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
		address: attach.Name(remote), local: remote.Network() == "unix", onClose: e.forget,
	}), nil
}

// forget takes a closed link from those that Wait looks at. The turn is held.
func (e *endpoint) forget(l *link) {
	e.enlisted()
	if i := slices.Index(e.links, l); i >= 0 {
		e.links = slices.Delete(e.links, i, i+1)
	}
}

// Close closes all links and ends all goroutines. A second call waits for the first and returns
// the same.
func (e *endpoint) Close() error {
	e.closed.Do(func() { e.err = e.close() })
	return e.err
}

func (e *endpoint) close() error {
	e.mu.Lock()
	e.closing.Store(true) // from here on nothing is queued
	e.mu.Unlock()
	e.cancel() // ends handshakes and dials
	e.wake.Ring()
	var errs []error
	for _, l := range e.listeners {
		errs = append(errs, l.Close())
	}
	e.group.Wait()
	if e.cleanup != nil {
		errs = append(errs, e.cleanup())
	}
	e.turn.Lock()
	defer e.turn.Unlock()
	e.enlisted()
	e.mu.Lock()
	unclaimed := e.accepted
	e.accepted = nil
	e.waiting.Store(0)
	e.mu.Unlock()
	all := slices.Concat(unclaimed, e.links)
	e.linger(all)
	for _, l := range all {
		errs = append(errs, l.close())
	}
	errs = append(errs, e.wake.Close())
	return errors.Join(errs...)
}
