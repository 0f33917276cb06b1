//go:build linux || darwin

package zmq

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// link is one connection, after the hello. Its methods are called under the endpoint's turn, which
// a mutex stands for: it is free but for the moment when another goroutine closes the endpoint, and
// keeps a descriptor from being closed, and its number from being used again, under a system call.
type link struct {
	turn       *sync.Mutex
	rank, peer int
	maxPayload int
	text       string // what String returns
	address    string // of the other end
	fd         int
	in         reader
	out        writer
	inErr      error // what Next, Read and Peek return
	outErr     error // what Send and Sent return
	local      bool  // a Unix socket: what was sent is with the other end already
	closed     bool
	onClose    func(*link)
}

var _ transport.Link = (*link)(nil)

func newLink(fd int, l link) *link {
	l.fd = fd
	l.in = newReader(fd, l.maxPayload)
	l.out = newWriter(fd)
	return &l
}

// Peer returns the rank at the other end.
func (l *link) Peer() int { return l.peer }

// String describes the link.
func (l *link) String() string { return l.text }

// Send offers a frame.
func (l *link) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if n := len(pieces[0]) + len(pieces[1]); n != int(h.Length) || n > l.maxPayload {
		return false, &transport.FrameError{
			Field: "length", Got: uint64(h.Length),
			Want: fmt.Sprintf("%d, the size of the pieces, and at most %d", n, l.maxPayload),
		}
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.outErr != nil {
		return false, l.outErr
	}
	taken := l.out.send(h, pieces)
	return taken, l.checkOut()
}

// Sent moves along what is unfinished and counts the frames that are done.
func (l *link) Sent() (uint64, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.out.waiting() {
		l.out.flush()
	}
	return l.out.done(), l.checkOut()
}

// Reclaim ends the lend of all frames.
func (l *link) Reclaim() {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.out.reclaim()
}

// Next returns the header of the head frame.
func (l *link) Next() (*transport.Header, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.inErr != nil {
		return nil, l.inErr
	}
	h, err := l.in.next()
	l.answerPing()
	if err != nil {
		return nil, l.checkIn(err)
	}
	return h, nil
}

func (l *link) answerPing() {
	if l.in.pinged {
		l.in.pinged = false
		l.out.answer(l.in.ping)
		l.out.flush()
	}
}

// Read moves payload of the head frame into dst.
func (l *link) Read(dst []byte) (int, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.inErr != nil {
		return 0, l.inErr
	}
	n, err := l.in.read(dst)
	if err != nil {
		return n, l.checkIn(err)
	}
	return n, nil
}

// Peek shows payload of the head frame.
func (l *link) Peek() ([]byte, error) {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.inErr != nil {
		return nil, l.inErr
	}
	b, err := l.in.peek()
	if err != nil {
		return nil, l.checkIn(err)
	}
	return b, nil
}

// Discard takes n bytes that Peek has shown.
func (l *link) Discard(n int) { l.in.discard(n) }

// checkIn makes the error of the receiving direction, and keeps it.
func (l *link) checkIn(err error) error {
	if l.inErr == nil {
		l.inErr = l.failure("receive", err)
	}
	return l.inErr
}

// checkOut returns the error of the sending direction, if there is one.
func (l *link) checkOut() error {
	if l.outErr == nil && l.out.err != nil {
		l.outErr = l.failure("send", l.out.err)
	}
	return l.outErr
}

func (l *link) failure(phase string, err error) error {
	return &transport.LinkError{
		Phase: phase, Rank: l.rank, Peer: l.peer, Address: l.address, Err: err, Remedy: remedy(err),
	}
}

// Close closes the link.
func (l *link) Close() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.close()
}

// maxDrain bounds what close reads and throws away, in bytes.
const maxDrain = 1 << 20

// close closes the link, under the turn. A TCP connection that is closed with unread bytes is
// reset, and a reset overtakes what has been sent; so what there is is read first. It waits for
// nobody: the system goes on to send what it has. Only an endpoint that closes lingers.
func (l *link) close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	l.out.flush()
	err := unix.Shutdown(l.fd, unix.SHUT_WR)
	if err == unix.ENOTCONN {
		err = nil // the other end was first
	}
	sink := make([]byte, idleBytes) // not the buffer, which Peek may have shown
	for n := 0; n < maxDrain; {
		k, errno := recvSmall(l.fd, sink)
		if errno != 0 || k <= 0 {
			break
		}
		n += k
	}
	if e := unix.Close(l.fd); err == nil {
		err = e
	}
	l.fd, l.in.fd, l.out.fd = -1, -1, -1
	l.out.fail(transport.ErrClosed)
	l.in.err, l.in.reported = transport.ErrClosed, true
	if l.inErr == nil {
		l.inErr = l.failure("receive", transport.ErrClosed)
	}
	if l.outErr == nil {
		l.outErr = l.failure("send", transport.ErrClosed)
	}
	if l.onClose != nil {
		l.onClose(l)
	}
	if err != nil {
		return l.failure("close", err)
	}
	return nil
}
