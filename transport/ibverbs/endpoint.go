//go:build ibverbs && cgo && linux

package ibverbs

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// endpoint is one rank's attachment to a port of a device. turn stands for the turn of the
// goroutine that calls its methods, see link.
type endpoint struct {
	c        transport.Config
	log      *slog.Logger
	timeout  int // of the queue pairs, as devices count it
	patience int // of theirs with an end that has no receive posted
	device   *device
	at       addresses
	encoded  []byte
	networks []netip.Prefix // that the port is on
	listener net.Listener
	regions  regions

	turn    sync.Mutex
	links   attach.Links[*link]
	leaving []*link // closed, with sends under way
	parking *transport.Parking
	armed   bool // the channel will tell of the next completion
	idle    int  // polls after each other that have found nothing
	silence silence
	polling sync.Mutex // guards links that are being made against poll

	mu    sync.Mutex // guards the table against those who change it
	last  uint32     // the id of the last link
	table atomic.Pointer[map[uint32]*link]
}

var _ transport.Endpoint = (*endpoint)(nil)

// Open attaches a rank: it opens a device, listens, and takes connections from now on. The error is
// a *transport.LinkError.
func (d driver) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	e, err := d.open(ctx, c)
	if err != nil {
		return nil, &transport.LinkError{
			Phase: "listen", Rank: c.Rank, Peer: -1, Address: describeListen(c), Err: err,
			Remedy: remedy(err),
		}
	}
	return e, nil
}

func describeListen(c transport.Config) string {
	if c.Listen == "" {
		return "an RDMA device of this host"
	}
	return c.Listen
}

func (d driver) open(ctx context.Context, c transport.Config) (*endpoint, error) {
	if err := attach.Complete(&c); err != nil {
		return nil, err
	}
	f, err := transport.ParseFilter(c.Interface)
	if err != nil {
		return nil, err
	}
	e := &endpoint{
		c: c, log: c.Logger, timeout: timeoutExponent(d.retry), patience: d.patience,
	}
	e.table.Store(&map[uint32]*link{})
	if e.device, err = openDevice(f, c.Size); err != nil {
		return nil, err
	}
	e.regions.open(e.device)
	e.networks = networksOf(e.device.gid)
	if err := e.silence.open(d.retry); err != nil {
		return nil, errors.Join(err, e.device.close())
	}
	if err := e.listen(ctx); err != nil {
		return nil, errors.Join(err, e.silence.close(), e.device.close())
	}
	if err := e.links.Open(attach.Endpoint[*link]{
		Driver: "ibverbs", Config: c, Turn: &e.turn, Remedy: remedy, Drop: (*link).drop,
	}); err != nil {
		return nil, errors.Join(err, e.listener.Close(), e.silence.close(), e.device.close())
	}
	e.parking = transport.NewParking(e)
	e.links.Serve(e.listener, e.welcome)
	return e, nil
}

// Addresses returns where peers reach the endpoint, for their Dial.
func (e *endpoint) Addresses() []byte { return slices.Clone(e.encoded) }

// Accept returns a link that a peer has opened.
func (e *endpoint) Accept() transport.Link { return e.links.Accept() }

// number gives a link to come a number, and makes room for its completions.
func (e *endpoint) number() (uint32, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	one := linkEntries(depth(e.c.Size))
	if err := e.device.grow((len(*e.table.Load()) + 1) * one); err != nil {
		return 0, err
	}
	e.last++
	e.change(func(t map[uint32]*link) { t[e.last] = nil })
	return e.last, nil
}

// register has the completions of a link find it. It comes before the first can come.
func (e *endpoint) register(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.change(func(t map[uint32]*link) { t[l.id] = l })
}

func (e *endpoint) unregister(id uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.change(func(t map[uint32]*link) { delete(t, id) })
}

func (e *endpoint) change(how func(map[uint32]*link)) {
	t := maps.Clone(*e.table.Load())
	how(t)
	e.table.Store(&t)
}

// Wake ends a Wait.
func (e *endpoint) Wake() { e.links.Wakeup.Ring() }

// forget takes a closed link from those that Wait looks at. The turn is held.
func (e *endpoint) forget(l *link) {
	e.links.Forget(l)
	if l.leaving {
		e.leaving = append(e.leaving, l)
	}
}

// left takes a link that has gone from those that leave.
func (e *endpoint) left(l *link) {
	if i := slices.Index(e.leaving, l); i >= 0 {
		e.leaving = slices.Delete(e.leaving, i, i+1)
	}
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
	e.linger()
	for _, l := range slices.Clone(e.leaving) {
		errs = append(errs, l.leave())
	}
	e.leaving = nil
	e.regions.memory.Close() // nothing is under way
	errs = append(errs, e.device.close(), e.silence.close())
	e.device.queue = nil
	return errors.Join(errs...)
}
