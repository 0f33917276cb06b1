package drivers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
	"github.com/tutti-ml/tutti/transport/shm"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// auto reaches the processes of this host through shared memory, those of hosts that an RDMA
// network connects by that, and all others by ZeroMQ. Each endpoint is one of each driver; without
// one of the first its peers go by the next.
type auto struct{ near, wire, far transport.Driver }

func newAuto() transport.Driver {
	return auto{near: shm.New(), wire: ibverbs.New(), far: zmq.New(zmq.Auto)}
}

// Name returns "auto".
func (auto) Name() string { return "auto" }

// Open attaches a rank to the drivers.
func (d auto) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	far, err := d.far.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	e := &endpoint{rank: c.Rank, log: log}
	near := e.try(ctx, d.near, c, slog.LevelWarn, "no shared memory: all links go by "+d.far.Name())
	// One port is the user's to choose, and ZeroMQ has it.
	c.Listen = withoutPort(c.Listen)
	wire := e.try(ctx, d.wire, c, slog.LevelWarn, "no RDMA: other hosts are reached by "+d.far.Name())
	e.ways = [3]way{
		{d.near.Name(), near, errNoneHere, errNoneThere, sameHost, "through shared memory"},
		{d.wire.Name(), wire, errNoRDMAHere, errNoRDMAThere, sameNetwork, "by RDMA"},
		{name: d.far.Name(), endpoint: far},
	}
	if err := e.join(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.encoded = e.encode()
	return e, nil
}

// try opens an endpoint that there need not be: nil where there is none.
func (e *endpoint) try(
	ctx context.Context, d transport.Driver, c transport.Config, level slog.Level, without string,
) transport.Endpoint {
	opened, err := d.Open(ctx, c)
	switch {
	case err == nil:
		return opened
	case errors.Is(err, ibverbs.ErrNoDevice):
		level = slog.LevelDebug // so it is on most hosts
	}
	if errors.Is(err, errors.ErrUnsupported) {
		level = slog.LevelDebug // so it is everywhere on this system, or in this build
	}
	e.log.Log(ctx, level, "auto: "+without, "rank", c.Rank, "error", err)
	return nil
}

// withoutPort leaves the port of an address to the system.
func withoutPort(listen string) string {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(host, "0")
}

// way is one of the drivers, in the order of preference; the last reaches everybody.
type way struct {
	name        string
	endpoint    transport.Endpoint // nil where there is none
	none, there error              // that it is missing, here or at the other end
	why         string             // it is taken
	text        string             // how it goes
}

// endpoint is several endpoints that look like one.
type endpoint struct {
	rank    int
	log     *slog.Logger
	ways    [3]way
	encoded []byte
	wait    func(time.Time)
	warned  atomic.Bool // that a better way has failed: once is enough
}

var (
	_ transport.Endpoint  = (*endpoint)(nil)
	_ transport.Chooser   = (*endpoint)(nil)
	_ transport.Allocator = (*endpoint)(nil)
)

// encode puts the addresses of all after each other, each with its length (2 bytes, little-endian)
// before it, 0 for an endpoint that there is not.
func (e *endpoint) encode() (b []byte) {
	for _, w := range e.ways {
		var address []byte
		if w.endpoint != nil {
			address = w.endpoint.Addresses()
		}
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(address))), address...)
	}
	return b
}

// decode is the inverse of encode.
func decode(b []byte) (parts [3][]byte, err error) {
	whole := len(b)
	for i := range parts {
		if len(b) < 2 || len(b) < 2+int(binary.LittleEndian.Uint16(b)) {
			return parts, fmt.Errorf("%w: %d bytes, and cut", errAddresses, whole)
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		parts[i], b = b[2:n], b[n:]
	}
	if len(b) > 0 {
		return parts, fmt.Errorf("%w: %d bytes, %d too many", errAddresses, whole, len(b))
	}
	return parts, nil
}

var errAddresses = errors.New("not the addresses of an endpoint of this driver")

// Addresses returns where peers reach all of them.
func (e *endpoint) Addresses() []byte { return append([]byte(nil), e.encoded...) }

// Choose tells which driver reaches a peer, and why: the first one that can.
func (e *endpoint) Choose(addresses []byte) (driver, why string) {
	parts, err := decode(addresses)
	last := &e.ways[len(e.ways)-1]
	if err != nil {
		return last.name, err.Error()
	}
	var left []error
	for i := range e.ways {
		w := &e.ways[i]
		if w == last {
			break
		}
		if err := w.reaches(parts[i]); err == nil {
			return w.name, w.why
		} else if !quiet(err) {
			left = append(left, err)
		}
	}
	return last.name, joined(left)
}

const (
	sameHost    = "same host: shared memory"
	sameNetwork = "an RDMA network connects the hosts"
)

var (
	errNoneHere    = errors.New("this rank has no shared memory")
	errNoneThere   = errors.New("the peer has no shared memory")
	errNoRDMAHere  = errors.New("this rank has no RDMA device")
	errNoRDMAThere = errors.New("the peer has no RDMA device")
)

// joined is several reasons in a line.
func joined(reasons []error) string {
	texts := make([]string, len(reasons))
	for i, r := range reasons {
		texts[i] = r.Error()
	}
	return strings.Join(texts, "; ")
}

// quiet tells whether a reason is one that nobody wonders about: most hosts have no RDMA device.
func quiet(err error) bool { return err == errNoRDMAHere }

// reacher is an endpoint that can tell from an address alone whether a Dial has a chance.
type reacher interface{ Reaches(address []byte) error }

// reaches tells why a driver can't reach a peer, nil when it should.
func (w *way) reaches(address []byte) error {
	switch {
	case w.endpoint == nil:
		return w.none
	case len(address) == 0:
		return w.there
	}
	if r, ok := w.endpoint.(reacher); ok {
		return r.Reaches(address)
	}
	return nil
}

// Dial opens a link by the first driver that reaches the peer, and by the next when that fails.
func (e *endpoint) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	parts, err := decode(addresses)
	if err != nil {
		return nil, &transport.LinkError{
			Phase: "dial", Rank: e.rank, Peer: peer, Address: "an unknown address", Err: err,
			Remedy: "use the same driver in all processes",
		}
	}
	var failed, reasons []error
	for i := range e.ways {
		w := &e.ways[i]
		last := i == len(e.ways)-1
		if !last {
			if why := w.reaches(parts[i]); why != nil {
				if !quiet(why) {
					reasons = append(reasons, why)
				}
				continue
			}
		}
		l, err := w.endpoint.Dial(ctx, peer, parts[i])
		if err == nil {
			why := w.why
			if last {
				why = joined(reasons)
			}
			e.log.Debug("auto: connected", "rank", e.rank, "peer", peer, "driver", w.name, "why", why)
			return l, nil
		}
		if last || !passes(ctx, err) {
			return nil, besides(err, failed)
		}
		e.warn(peer, w, err)
		failed = append(failed, fmt.Errorf("%s: %w", w.text, err))
		reasons = append(reasons, err)
	}
	return nil, besides(&transport.LinkError{
		Phase: "dial", Rank: e.rank, Peer: peer, Address: "no address", Err: errAddresses,
	}, failed)
}

// besides adds to the error of a dial how the better ways have failed.
func besides(err error, failed []error) error {
	var failure *transport.LinkError
	if errors.As(err, &failure) {
		for _, f := range failed {
			failure.Err = fmt.Errorf("%w; and %w", failure.Err, f)
		}
	}
	return err
}

// passes tells whether another driver may do better than one that has failed like this.
func passes(ctx context.Context, err error) bool {
	var hello *transport.HelloError
	return ctx.Err() == nil && !errors.Is(err, transport.ErrClosed) &&
		(!errors.As(err, &hello) || hello.Reason == transport.HelloBroken)
}

// warn says that a way has failed. What fails for one peer, memory as a rule, fails for the next
// ones too: those are told to who looks closer.
func (e *endpoint) warn(peer int, w *way, err error) {
	level := slog.LevelWarn
	if e.warned.Swap(true) {
		level = slog.LevelDebug
	}
	what := "no shared memory with a rank of this host"
	if w.why == sameNetwork {
		what = "no RDMA with a rank of another host"
	}
	text := "auto: " + what + ": it goes by " + e.ways[len(e.ways)-1].name
	e.log.Log(context.Background(), level, text, "rank", e.rank, "peer", peer, "error", err)
}

// Alloc returns memory that ranks of this host can see, where there is shared memory.
func (e *endpoint) Alloc(n int) ([]byte, error) {
	special, ok := e.ways[0].endpoint.(transport.Allocator)
	if !ok {
		return nil, errNoneHere
	}
	return special.Alloc(n)
}

// Free takes memory of Alloc back.
func (e *endpoint) Free(b []byte) {
	if special, ok := e.ways[0].endpoint.(transport.Allocator); ok {
		special.Free(b)
	}
}

// Accept returns a link that a peer has opened by any driver.
func (e *endpoint) Accept() transport.Link {
	for i := range e.ways {
		if w := &e.ways[i]; w.endpoint != nil {
			if l := w.endpoint.Accept(); l != nil {
				return l
			}
		}
	}
	return nil
}

// Wait parks until any has something.
func (e *endpoint) Wait(deadline time.Time) { e.wait(deadline) }

// Wake ends a Wait, which is of all at once.
func (e *endpoint) Wake() {
	for i := range e.ways {
		if w := &e.ways[i]; w.endpoint != nil {
			w.endpoint.Wake()
			return
		}
	}
}

// Close closes all.
func (e *endpoint) Close() error {
	var errs []error
	for i := range e.ways {
		if w := &e.ways[i]; w.endpoint != nil {
			errs = append(errs, w.endpoint.Close())
		}
	}
	return errors.Join(errs...)
}
