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
	"sync/atomic"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// endpoint is one rank's attachment. turn stands for the turn of the goroutine that calls its
// methods, see link; mu guards what the accepting goroutines share with it.
type endpoint struct {
	c        transport.Config
	log      *slog.Logger
	stream   int // bytes of the stream rings of the links that this end dials
	at       address
	encoded  []byte
	listener *net.UnixListener

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	group    sync.WaitGroup // the goroutines that accept
	slots    chan struct{}
	refusals atomic.Uint64
	closing  atomic.Bool
	closed   sync.Once
	err      error // of Close

	regions regions

	turn    sync.Mutex
	links   []*link
	wake    *transport.Wakeup
	parking *transport.Parking

	mu       sync.Mutex
	accepted []*link
	waiting  atomic.Int32 // len(accepted)
	dialled  []*link      // that Wait has not seen yet: who dials must not need the turn
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
		c: c, log: c.Logger, stream: streamBytes(c.Size), slots: make(chan struct{}, maxHandshakes),
		at: address{
			host: c.HostID, space: attach.Namespace(), name: namePrefix + strings.ToLower(rand.Text()),
		},
	}
	var err error
	if e.encoded, err = e.at.encode(); err != nil {
		return nil, err
	}
	if e.wake, err = transport.NewWakeup(); err != nil {
		return nil, err
	}
	e.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: e.at.name, Net: "unix"})
	if err != nil {
		return nil, errors.Join(err, e.wake.Close())
	}
	e.parking = transport.NewParking(e)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.group.Go(e.accept)
	e.log.Debug("shm: listening", "rank", c.Rank, "at", e.at.name)
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
		onClose: e.forget, regions: &e.regions, log: e.log,
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
	errs := []error{e.listener.Close()}
	e.group.Wait()
	e.turn.Lock()
	defer e.turn.Unlock()
	e.enlisted()
	e.mu.Lock()
	unclaimed := e.accepted
	e.accepted = nil
	e.waiting.Store(0)
	e.mu.Unlock()
	for _, l := range slices.Concat(unclaimed, e.links) {
		errs = append(errs, l.close())
	}
	e.regions.close()
	errs = append(errs, e.wake.Close())
	return errors.Join(errs...)
}
