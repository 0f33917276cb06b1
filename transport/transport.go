package transport

import (
	"context"
	"log/slog"
	"time"
)

// Config is what a rank tells a driver when it opens its endpoint.
type Config struct {
	Rank, Size int
	// Job and Secret must be the same at both ends of a link. With a secret, both ends prove
	// that they know it; without one, an endpoint that could be reached from another host
	// refuses to listen anywhere but on loopback, and logs so.
	Job    string
	Secret []byte
	// HostID is the same for all processes of one host and for no others (rendezvous.HostID).
	HostID string
	// Listen is the address and port of the one listening socket; "" and port 0 choose.
	Listen string
	// Interface filters the addresses that are offered: names, CIDRs or addresses, separated
	// by commas; a leading ^ excludes. "" offers all that other hosts could reach.
	Interface string
	// MaxPayload bounds the payload of one frame, in bytes; 0 means DefaultMaxPayload.
	MaxPayload int
	// Linger bounds how long the endpoint's Close waits until the systems at the other ends have all
	// that was sent, where that can get lost; 0 means DefaultLinger.
	Linger time.Duration
	// Logger is where the endpoint says what it chose and what it refused; nil discards.
	Logger *slog.Logger
}

// DefaultMaxPayload is the largest payload of a frame unless a Config says otherwise.
const DefaultMaxPayload = 16 << 20

// DefaultLinger is how long Close waits unless a Config says otherwise.
const DefaultLinger = 2 * time.Second

// Driver makes endpoints of one kind.
type Driver interface {
	// Name is what a user writes to choose the driver: "inproc", "zmq", "zmq:tcp".
	Name() string
	// Open attaches a rank. The endpoint accepts peers from now on, until Close.
	Open(ctx context.Context, c Config) (Endpoint, error)
}

// Endpoint is one rank's attachment to a driver. Accept, Wait and the methods of its links are for
// one goroutine at a time, which has the turn; the other methods may be called by any goroutine
// at any time. While one is parked in Wait another may take the turn after it has called Wake: its
// first method then blocks until that Wait has returned, which is at once.
type Endpoint interface {
	// Addresses is what a peer's Dial needs, opaque to all but this driver, at most 4 KiB.
	Addresses() []byte
	// Dial opens a link to the endpoint of rank peer, beside those that there are, full ones too.
	// It may block until ctx ends, but must not need the peer's user code to run. Errors are
	// *LinkError.
	Dial(ctx context.Context, peer int, addresses []byte) (Link, error)
	// Accept returns a link that a peer has opened, or nil when there is none; it never blocks.
	// A link may carry frames from the moment its peer's Dial returned.
	Accept() Link
	// Wait parks the caller until there may be something to do: a frame or more of a payload
	// has arrived, a link that did not take a frame may take it now, lent memory has come back,
	// a link broke, a peer has connected, Wake was called (even before Wait), or the deadline
	// has passed (zero: none). It returns at once when a link holds bytes that Next, Read or
	// Peek have not been asked for since they arrived, and it may return for no reason.
	Wait(deadline time.Time)
	// Wake ends the Wait under way, or the next one. Any goroutine may call it.
	Wake()
	// Close closes all links and ends every goroutine of the endpoint before it returns.
	Close() error
}

// Link is an ordered, lossless path of frames to one peer, both ways. No method blocks. After the
// first error of either direction, that direction returns the same error for ever; frames that
// arrived before the link broke can still be read, and only then does Next return the error.
type Link interface {
	// Peer is the rank at the other end, as it proved it to be.
	Peer() int
	// String describes the link for people: driver, both addresses.
	String() string
	// Send offers a frame: h, then the pieces. False means that the link can't take it now; the
	// caller offers it again after a Wait. True means that the link has it, in order; the memory
	// of the pieces is lent to the link until Sent counts the frame. h is copied. h.Length must
	// be the sum of the pieces' lengths.
	Send(h *Header, pieces [2][]byte) (bool, error)
	// Sent moves along what Send has left unfinished, as far as it goes now, and returns how many
	// of the frames taken so far are done: their memory is no longer lent. Frames end in order.
	Sent() (uint64, error)
	// Reclaim ends every lend at once: it copies what has not been moved yet, so that the
	// caller's memory is its own again and Sent counts all frames taken. What an Expecter was told of
	// is the caller's again, too, and keeps what it holds. It is for giving up.
	Reclaim()
	// Next returns the header of the frame at the head of the link, nil when none has arrived
	// whole. It is the same frame until its payload has been taken to the last byte; a frame
	// without payload is taken by the next call of Next. The header is valid until then. What
	// does not parse, or has a payload over the limit, breaks the link with a *FrameError.
	Next() (*Header, error)
	// Read moves up to len(dst) further bytes of the head frame's payload into dst and returns how
	// many: 0 when none has arrived. It never goes beyond the payload.
	Read(dst []byte) (int, error)
	// Peek borrows the further bytes of the head frame's payload that are at hand in the
	// transport's memory, up to all of it, without taking them: none when none has arrived. The
	// payload's first byte has an address that is a multiple of 8. The memory is valid, and may
	// not be written, until the next call of any other receiving method, or of Wait.
	Peek() ([]byte, error)
	// Discard takes n bytes that Peek has shown.
	Discard(n int)
	// Close closes the link, after what was taken has been handed to the system as far as that
	// goes without waiting. The peer's Next returns what it has, and then an error that is
	// ErrClosed or a lost connection.
	Close() error
}
