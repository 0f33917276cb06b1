//go:build ibverbs && cgo && linux

package ibverbs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// link is a queue pair, and the connection over which the two ends agreed on it, which stays open:
// its end tells that the other process has gone. The link's methods are called under the endpoint's
// turn, which a mutex stands for, as do those that take completions.
type link struct {
	at      *endpoint
	peer    int
	id      uint32
	text    string  // what String returns
	address string  // of the other end
	fd      int     // the connection
	said    [1]byte // there, where nothing is said any more
	queue   *queuePair
	ring    *memory
	stage   *memory
	in      receiver
	grounds []stay // of its destinations
	out     sender
	owed    int   // receives that have completed and are not posted again
	inErr   error // what Next, Read and Peek return
	outErr  error // what Send and Sent return
	cause   error // why the queue pair has failed
	ended   bool  // nothing comes any more but what is in the ring
	closed  bool
	leaving bool // closed, and the device is still at work
	gone    bool // all that it had of the device is given back
	news    bool // that Wait has not told: room, memory, or a failure
	idle    uint // calls of Next that found nothing
}

var _ transport.Link = (*link)(nil)

// Peer returns the rank at the other end.
func (l *link) Peer() int { return l.peer }

// String describes the link.
func (l *link) String() string { return l.text }

// Send offers a frame.
func (l *link) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if n := len(pieces[0]) + len(pieces[1]); n != int(h.Length) {
		return false, &transport.FrameError{
			Field: "length", Got: uint64(h.Length), Want: fmt.Sprintf("%d, the size of the pieces", n),
		}
	}
	if err := h.Check(l.at.c.MaxPayload); err != nil {
		return false, err
	}
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	if l.outErr != nil {
		return false, l.outErr
	}
	taken := l.out.send(h, pieces)
	if !taken {
		l.at.poll()
		taken = l.out.send(h, pieces)
	}
	return taken, l.checkOut()
}

// Sent moves along what is unfinished and counts the frames that are done.
func (l *link) Sent() (uint64, error) {
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	l.tellNews()
	if !l.closed && (l.out.busy || l.out.loaned > l.out.repaid) {
		l.at.poll()
		l.out.short = false
		l.out.push()
	}
	return l.out.count(), l.checkOut()
}

// Reclaim ends the lend of all frames.
func (l *link) Reclaim() {
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	l.out.reclaim()
	l.withdraw()
}

// lookAtSocket is how many calls of Next find nothing until one asks the connection whether the
// other end is alive, and looks for silence. Who parks hears of these at once.
const lookAtSocket = 4096

// Next returns the header of the head frame.
func (l *link) Next() (*transport.Header, error) {
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	if l.inErr != nil {
		return nil, l.inErr
	}
	l.tellNews()
	if l.in.has && l.in.left > 0 {
		h, err := l.in.next()
		if err == nil && l.in.waits() {
			err = l.more()
		}
		return h, l.checkIn(err)
	}
	h, err := l.in.next()
	if h == nil && err == nil {
		l.tell()
		if err = l.more(); err == nil {
			h, err = l.in.next()
		}
	}
	if err != nil {
		return nil, l.checkIn(err)
	}
	return h, nil
}

// more looks for what has come. The error is that nothing will.
func (l *link) more() error {
	before, direct := l.in.filled, len(l.in.destinations.arrivals)
	if l.idle++; l.idle%lookAtSocket == 0 {
		l.listen()
		l.at.breakSilence()
	}
	ended := l.ended
	l.at.poll() // after the look at the connection: all that came before its end is there
	if l.in.filled != before || len(l.in.destinations.arrivals) != direct || l.in.err != nil {
		return nil
	}
	if ended || l.ended {
		return l.lost()
	}
	return nil
}

// Read moves payload of the head frame into dst.
func (l *link) Read(dst []byte) (int, error) {
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	if l.inErr != nil {
		return 0, l.inErr
	}
	if l.in.waits() {
		if err := l.more(); err != nil {
			return 0, l.checkIn(err)
		}
	}
	n := l.in.read(dst)
	l.tell()
	return n, nil
}

// Peek shows payload of the head frame.
func (l *link) Peek() ([]byte, error) {
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	if l.inErr != nil {
		return nil, l.inErr
	}
	if l.in.waits() {
		if err := l.more(); err != nil {
			return nil, l.checkIn(err)
		}
	}
	return l.in.window(), nil
}

// Discard takes n bytes that Peek has shown.
func (l *link) Discard(n int) {
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	if l.inErr == nil && n > 0 {
		l.in.take(min(n, l.in.left))
		l.tell()
	}
}

// tell lets the other end know what is free, when that is worth a message.
func (l *link) tell() {
	messages, lines, due := l.in.due()
	if !due || l.ended || l.closed || l.out.closed || l.out.slots() < 2 {
		return
	}
	l.in.told(messages, lines)
	l.out.tell(packTell(messages, lines), false)
}

// listen asks the connection whether the other process is there. Nothing is said on it any more.
func (l *link) listen() {
	if l.ended || l.fd < 0 {
		return
	}
	for {
		n, err := unix.Read(l.fd, l.said[:]) // it does not block, and Recvfrom would allocate
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return
		case n > 0 && err == nil:
			l.fail(fmt.Errorf("%w: it speaks after its description", errRecord))
		}
		l.ended = true
		return
	}
}

// fail notes why the queue pair is of no use any more; the first cause counts, but for one that
// only follows from another.
func (l *link) fail(err error) {
	if w, ok := l.cause.(*WorkError); l.cause == nil || ok && w.Status == Flushed {
		l.cause = err
	}
	l.ended, l.news = true, true
}

// lost tells why nothing comes any more.
func (l *link) lost() error {
	switch {
	case l.out.closed:
		return transport.ErrClosed
	case l.cause != nil:
		return l.cause
	}
	return errEnded
}

// checkIn makes the error of the receiving direction, and keeps it.
func (l *link) checkIn(err error) error {
	if err == nil {
		return nil
	}
	if l.inErr == nil {
		l.inErr = l.failure("receive", err)
		l.in.reported = true
		l.hangUp()
	}
	return l.inErr
}

// checkOut returns the error of the sending direction, if there is one.
func (l *link) checkOut() error {
	if l.outErr != nil {
		return l.outErr
	}
	if l.ended || l.out.closed {
		l.out.stop(l.lost())
	}
	if l.out.err != nil {
		l.outErr = l.failure("send", l.out.err)
		l.hangUp()
	}
	return l.outErr
}

// hangUp ends the connection of a link that has failed, so that the other end hears of it: its own
// queue pair may never notice.
func (l *link) hangUp() {
	if l.fd >= 0 && !l.out.closed {
		_ = unix.Shutdown(l.fd, unix.SHUT_RDWR) // it may be gone already
	}
}

func (l *link) failure(phase string, err error) error {
	return &transport.LinkError{
		Phase: phase, Rank: l.at.c.Rank, Peer: l.peer, Address: l.address, Err: err,
		Remedy: remedy(err),
	}
}

// Close closes the link.
func (l *link) Close() error {
	l.at.turn.Lock()
	defer l.at.turn.Unlock()
	return l.close()
}

// close closes the link, under the turn. What was given to the device goes on: the link leaves when
// the other end has acknowledged the goodbye.
func (l *link) close() error {
	if l.closed {
		return nil
	}
	if l.out.busy || l.out.loaned > l.out.repaid {
		l.at.poll()
		l.out.push()
	}
	l.closed = true
	l.out.reclaim() // the memory is the callers', whatever the devices still do
	l.withdraw()
	l.out.stop(transport.ErrClosed)
	l.in.reported = true
	if l.inErr == nil {
		l.inErr = l.failure("receive", transport.ErrClosed)
	}
	if l.outErr == nil {
		l.outErr = l.failure("send", transport.ErrClosed)
	}
	var err error
	if l.ended || l.out.closed || l.cause != nil || l.out.slots() == 0 {
		err = l.leave()
	} else {
		l.leaving = true
		l.out.tell(goodbye, true)
	}
	l.at.forget(l)
	if err != nil {
		return l.failure("close", err)
	}
	return nil
}

// leave gives back all that the link has of the device. Its memory stays with who looks at it.
func (l *link) leave() error {
	if l.gone {
		return nil
	}
	l.gone, l.leaving = true, false
	l.at.unregister(l.id)
	errs := []error{l.queue.destroy(), l.ring.release(), l.stage.release()}
	l.out.end()
	l.in.destinations.clear()
	if l.fd >= 0 {
		errs = append(errs, unix.Close(l.fd))
		l.fd = -1
	}
	return joinErrors(errs)
}
