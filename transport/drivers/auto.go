package drivers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/shm"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// auto reaches the processes of this host through shared memory and all others by ZeroMQ. Each
// endpoint is one of either driver; without the near one everything goes by the far one.
type auto struct{ near, far transport.Driver }

func newAuto() transport.Driver { return auto{near: shm.New(), far: zmq.New(zmq.Auto)} }

// Name returns "auto".
func (auto) Name() string { return "auto" }

// Open attaches a rank to both drivers.
func (d auto) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	log := c.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	far, err := d.far.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	e := &endpoint{rank: c.Rank, log: log, far: far, names: [2]string{d.near.Name(), d.far.Name()}}
	if near, err := d.near.Open(ctx, c); err != nil {
		level := slog.LevelWarn
		if errors.Is(err, errors.ErrUnsupported) {
			level = slog.LevelDebug // so it is everywhere but on Linux
		}
		log.Log(ctx, level, "auto: no shared memory: all links go by "+d.far.Name(), "rank", c.Rank,
			"error", err)
	} else if err := e.join(near); err != nil {
		return nil, errors.Join(err, near.Close(), far.Close())
	}
	e.encoded = encode(e.near, far)
	return e, nil
}

// endpoint is two endpoints that look like one.
type endpoint struct {
	rank      int
	log       *slog.Logger
	near, far transport.Endpoint // near is nil where there is no shared memory
	names     [2]string
	encoded   []byte
	wait      func(time.Time)
	warned    atomic.Bool // that shared memory has failed: once is enough
}

var (
	_ transport.Endpoint  = (*endpoint)(nil)
	_ transport.Chooser   = (*endpoint)(nil)
	_ transport.Allocator = (*endpoint)(nil)
)

// encode puts the addresses of both after each other, each with its length (2 bytes, little-endian)
// before it; that of the near endpoint is 0 when there is none.
func encode(near, far transport.Endpoint) []byte {
	var b, address []byte
	if near != nil {
		address = near.Addresses()
	}
	b = append(binary.LittleEndian.AppendUint16(b, uint16(len(address))), address...)
	address = far.Addresses()
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(address))), address...)
}

// decode is the inverse of encode.
func decode(b []byte) (near, far []byte, err error) {
	whole := len(b)
	for _, part := range []*[]byte{&near, &far} {
		if len(b) < 2 || len(b) < 2+int(binary.LittleEndian.Uint16(b)) {
			return nil, nil, fmt.Errorf("%w: %d bytes, and cut", errAddresses, whole)
		}
		n := 2 + int(binary.LittleEndian.Uint16(b))
		*part, b = b[2:n], b[n:]
	}
	if len(b) > 0 {
		return nil, nil, fmt.Errorf("%w: %d bytes, %d too many", errAddresses, whole, len(b))
	}
	return near, far, nil
}

var errAddresses = errors.New("not the addresses of an endpoint of this driver")

// Addresses returns where peers reach both.
func (e *endpoint) Addresses() []byte { return append([]byte(nil), e.encoded...) }

// Choose tells which driver reaches a peer, and why: the near one wherever it can.
func (e *endpoint) Choose(addresses []byte) (driver, why string) {
	near, _, err := decode(addresses)
	if err == nil {
		err = e.reaches(near)
	}
	if err != nil {
		return e.names[1], err.Error()
	}
	return e.names[0], sameHost
}

const sameHost = "same host: shared memory"

var (
	errNoneHere  = errors.New("this rank has no shared memory")
	errNoneThere = errors.New("the peer has no shared memory")
)

// reacher is an endpoint that can tell from an address alone whether a Dial has a chance.
type reacher interface{ Reaches(address []byte) error }

// reaches tells why the near driver can't reach a peer, nil when it should.
func (e *endpoint) reaches(near []byte) error {
	switch {
	case e.near == nil:
		return errNoneHere
	case len(near) == 0:
		return errNoneThere
	}
	if r, ok := e.near.(reacher); ok {
		return r.Reaches(near)
	}
	return nil
}

// Dial opens a link through shared memory where that reaches the peer, else by the other driver.
func (e *endpoint) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	near, far, err := decode(addresses)
	if err != nil {
		return nil, &transport.LinkError{
			Phase: "dial", Rank: e.rank, Peer: peer, Address: "an unknown address", Err: err,
			Remedy: "use the same driver in all processes",
		}
	}
	why := e.reaches(near)
	var failed error
	if why == nil {
		l, err := e.near.Dial(ctx, peer, near)
		if err == nil {
			e.log.Debug("auto: connected", "rank", e.rank, "peer", peer, "driver", e.names[0],
				"why", sameHost)
		}
		if err == nil || !e.passes(ctx, err) {
			return l, err
		}
		e.warn(peer, err)
		why, failed = err, err
	}
	l, err := e.far.Dial(ctx, peer, far)
	if err != nil {
		var failure *transport.LinkError
		if errors.As(err, &failure) && failed != nil {
			failure.Err = fmt.Errorf("%w; and through shared memory: %w", failure.Err, failed)
		}
		return nil, err
	}
	e.log.Debug("auto: connected", "rank", e.rank, "peer", peer, "driver", e.names[1], "why", why)
	return l, nil
}

// passes tells whether the other driver may do better than one that has failed like this.
func (e *endpoint) passes(ctx context.Context, err error) bool {
	var hello *transport.HelloError
	return ctx.Err() == nil && !errors.Is(err, transport.ErrClosed) &&
		(!errors.As(err, &hello) || hello.Reason == transport.HelloBroken)
}

// warn says that shared memory has failed. What fails for one peer, memory as a rule, fails for the
// next ones too: those are told to who looks closer.
func (e *endpoint) warn(peer int, err error) {
	level := slog.LevelWarn
	if e.warned.Swap(true) {
		level = slog.LevelDebug
	}
	text := "auto: no shared memory with a rank of this host: it goes by " + e.names[1]
	e.log.Log(context.Background(), level, text, "rank", e.rank, "peer", peer, "error", err)
}

// Alloc returns memory that ranks of this host can see, where there is shared memory.
func (e *endpoint) Alloc(n int) ([]byte, error) {
	special, ok := e.near.(transport.Allocator)
	if !ok {
		return nil, errNoneHere
	}
	return special.Alloc(n)
}

// Free takes memory of Alloc back.
func (e *endpoint) Free(b []byte) {
	if special, ok := e.near.(transport.Allocator); ok {
		special.Free(b)
	}
}

// Accept returns a link that a peer has opened by either driver.
func (e *endpoint) Accept() transport.Link {
	if e.near != nil {
		if l := e.near.Accept(); l != nil {
			return l
		}
	}
	return e.far.Accept()
}

// Wait parks until either has something.
func (e *endpoint) Wait(deadline time.Time) {
	if e.wait == nil {
		e.far.Wait(deadline)
		return
	}
	e.wait(deadline)
}

// Wake ends a Wait, which is of both at once.
func (e *endpoint) Wake() {
	if e.near != nil {
		e.near.Wake()
		return
	}
	e.far.Wake()
}

// Close closes both.
func (e *endpoint) Close() error {
	var err error
	if e.near != nil {
		err = e.near.Close()
	}
	return errors.Join(err, e.far.Close())
}
