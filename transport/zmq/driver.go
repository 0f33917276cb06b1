package zmq

import (
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// Mode chooses the kinds of sockets.
type Mode uint8

const (
	// Auto uses Unix sockets inside a host and TCP between hosts.
	Auto Mode = iota
	// TCP uses TCP alone.
	TCP
	// IPC uses Unix sockets alone: all ranks are on one host.
	IPC
)

// String returns the name of the driver with this mode: "zmq", "zmq:tcp" or "zmq:ipc".
func (m Mode) String() string {
	switch m {
	case TCP:
		return "zmq:tcp"
	case IPC:
		return "zmq:ipc"
	}
	return "zmq"
}

// Option changes how a driver works.
type Option func(*driver)

// UserTimeout sets how long sent bytes may wait for the other end before a TCP link counts as broken
// (TCP_USER_TIMEOUT). Without it the system decides, after about a quarter of an hour: a shorter
// time also breaks the link to a rank that is alive and only late, whose receive window stays
// closed for as long as it does not read (tcp(7)).
func UserTimeout(d time.Duration) Option { return func(v *driver) { v.userTimeout = d } }

// unixSendBytes is the send buffer of a Unix socket, in bytes; the system bounds it by
// net.core.wmem_max (BenchmarkBuffers).
const unixSendBytes = 512 << 10

type driver struct {
	mode          Mode
	userTimeout   time.Duration
	unixSendBytes int // 0: as the system has it
}

// New returns the driver of a mode. It holds no state: endpoints do.
func New(m Mode, options ...Option) transport.Driver {
	d := &driver{mode: m, unixSendBytes: unixSendBytes}
	for _, o := range options {
		o(d)
	}
	return d
}

// Name returns the name of the mode.
func (d *driver) Name() string { return d.mode.String() }
