//go:build linux

package shm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// endpoint is one rank's attachment. turn stands for the turn of the goroutine that calls its
// methods, see link.
type endpoint struct {
	c        transport.Config
	log      *slog.Logger
	stream   int // bytes of the stream rings of the links that this end dials
	at       address
	encoded  []byte
	listener *net.UnixListener
	turn     sync.Mutex
	links    attach.Links[*link]
	parking  *transport.Parking
	regions  *regions
}

var (
	_ transport.Endpoint  = (*endpoint)(nil)
	_ transport.Allocator = (*endpoint)(nil)
)

// Open attaches a rank: it listens, and takes connections from now on. The error is a
// *transport.LinkError.
func (driver) Open(_ context.Context, c transport.Config) (transport.Endpoint, error) {
	e, err := open(c)
	if err != nil {
		return nil, &transport.LinkError{
			Phase: "listen", Rank: c.Rank, Peer: -1, Address: "a Unix socket of this host", Err: err,
			Remedy: remedy(err),
		}
	}
	return e, nil
}

func open(c transport.Config) (*endpoint, error) {
	if err := attach.Complete(&c); err != nil {
		return nil, err
	}
	e := &endpoint{
		c: c, log: c.Logger, stream: streamBytes(c.Size), regions: newRegions(),
		at: address{
			host: c.HostID, space: attach.Namespace(), name: namePrefix + strings.ToLower(rand.Text()),
		},
	}
	var err error
	if e.encoded, err = e.at.encode(); err != nil {
		return nil, err
	}
	e.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: e.at.name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	if err = e.links.Open(attach.Endpoint[*link]{
		Driver: "shm", Config: c, Turn: &e.turn, Remedy: remedy, Drop: (*link).Close,
	}); err != nil {
		return nil, errors.Join(err, e.listener.Close())
	}
	e.parking = transport.NewParking(e)
	e.links.Serve(e.listener, e.welcome)
	e.log.Debug("shm: listening", "rank", c.Rank, "at", e.at.name)
	return e, nil
}

// Addresses returns where peers reach the endpoint, for their Dial.
func (e *endpoint) Addresses() []byte { return slices.Clone(e.encoded) }

// Accept returns a link that a peer has opened.
func (e *endpoint) Accept() transport.Link { return e.links.Accept() }

// Wake ends a Wait.
func (e *endpoint) Wake() { e.links.Wakeup.Ring() }

// link makes a link of a socket and the segment that the two ends have agreed on. It owns both,
// whatever it returns.
func (e *endpoint) link(c *net.UnixConn, seg segment, peer int, name string) (*link, error) {
	fd, err := attach.TakeOver(c)
	if err != nil {
		release(seg.mem)
		return nil, errors.Join(err, attach.CloseQuietly(c))
	}
	return newLink(fd, seg, link{
		turn: &e.turn, rank: e.c.Rank, peer: peer, maxPayload: e.c.MaxPayload, address: name,
		text: fmt.Sprintf("shm of %d KiB, rank %d, rank %d at %s", len(seg.mem)>>10, e.c.Rank, peer,
			name),
		onClose: e.links.Forget, regions: e.regions, log: e.log,
	}), nil
}

// Close closes all links and ends all goroutines. A second call waits for the first and returns
// the same.
func (e *endpoint) Close() error { return e.links.Close(e.listener.Close, e.finish) }

// finish ends all links, and what they share. The turn is held.
func (e *endpoint) finish(all []*link) error {
	var errs []error
	for _, l := range all {
		errs = append(errs, l.close())
	}
	e.regions.Close()
	return errors.Join(errs...)
}
