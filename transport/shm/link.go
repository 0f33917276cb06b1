//go:build linux

package shm

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// link is a segment that two processes have mapped, and the socket over which they agreed on it.
// Its methods are called under the endpoint's turn, which a mutex stands for: it is free but for
// the moment when another goroutine closes the endpoint, and keeps the memory from being unmapped
// under it. Post and Pick do without.
type link struct {
	turn       *sync.Mutex
	rank, peer int
	maxPayload int
	text       string // what String returns
	address    string // of the other end
	fd         int
	pollAt     int // where the socket is among the descriptors of the Wait under way; -1 for nowhere
	seg        segment
	regions    *regions // what this end may show the other one
	in         receiver
	out        sender
	inErr      error // what Next, Read and Peek return
	outErr     error // what Send and Sent return
	ended      bool  // the socket has ended: nothing comes any more but what is in the segment
	closed     bool
	shown      bool // Peek's memory may be in use
	idle       uint // calls of Next that found nothing
	maps       *mappings
	unmap      runtime.Cleanup
	mail       mailbox
	heard      uint32 // how many messages about memory hear has been asked for
	log        *slog.Logger
	onClose    func(*link)
}

var (
	_ transport.Inliner = (*link)(nil)
	_ transport.Shower  = (*link)(nil)
)

// newLink takes over fd and the segment.
func newLink(fd int, seg segment, l link) *link {
	l.fd, l.seg, l.pollAt = fd, seg, -1
	b := bell{fd: fd, theirs: seg.theirs}
	l.maps = &mappings{link: seg.mem}
	l.in = receiver{way: seg.in, mine: seg.mine, bell: b, maxPayload: l.maxPayload}
	l.in.far.mappings = l.maps
	l.out = sender{half: seg.out, mine: seg.mine, bell: b, lender: lender{regions: l.regions}}
	p := &l
	p.unmap = runtime.AddCleanup(p, (*mappings).release, l.maps)
	return p
}

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
	if err := h.Check(l.maxPayload); err != nil {
		return false, err
	}
	l.turn.Lock()
	if l.outErr != nil {
		l.turn.Unlock()
		return false, l.outErr
	}
	taken := l.send(h, &pieces)
	err := l.checkOut()
	l.turn.Unlock()
	return taken, err
}

// Shows says that Peek shows all payloads: where the other end has them, or in the segment.
func (*link) Shows() {}

// Inline is what goes with a line, or through the small ring.
func (l *link) Inline() int { return inlineBytes }

// Post takes a frame that can go at once.
func (l *link) Post(h *transport.Header, payload []byte) bool {
	if l.outErr != nil || l.ended || len(payload) > inlineBytes {
		return false
	}
	return l.out.post(h, payload)
}

// Pick takes the head frame if it is the one that is wanted.
func (l *link) Pick(want *transport.Header) (payload []byte, credit uint32, ok bool) {
	if l.inErr != nil {
		return nil, 0, false
	}
	return l.in.pick(want)
}

// Sent moves along what is unfinished and counts the frames that are done.
func (l *link) Sent() (uint64, error) {
	l.turn.Lock()
	if l.out.busy {
		l.out.push()
	}
	n, err := l.out.done(), l.checkOut()
	l.turn.Unlock()
	return n, err
}

// Reclaim ends the lend of all frames.
func (l *link) Reclaim() {
	l.turn.Lock()
	l.out.reclaim()
	l.turn.Unlock()
}

// lookAtSocket is how many calls of Next find nothing until one asks the socket whether the other
// end is alive. Who parks hears of it at once.
const lookAtSocket = 4096

// Next returns the header of the head frame.
func (l *link) Next() (*transport.Header, error) {
	l.turn.Lock()
	h, err := l.next()
	l.turn.Unlock()
	return h, err
}

func (l *link) next() (*transport.Header, error) {
	if l.shown {
		l.returned()
	}
	if l.inErr != nil {
		return nil, l.inErr
	}
	h, err := l.in.next()
	if err == nil && h != nil {
		if !l.ended {
			// A payload that was copied: perhaps it could be read where it lies.
			if l.in.streams() && l.seg.theirs.mail.Load() != l.heard {
				l.ended = !l.hear()
			}
			return h, nil
		}
		if err = l.cut(); err == nil {
			return h, nil
		}
	}
	if err != nil {
		return nil, l.checkIn(err)
	}
	if l.idle++; l.idle%lookAtSocket == 0 && !l.ended {
		l.ended = !l.hear()
	}
	if l.ended && !l.in.arrived() {
		return nil, l.checkIn(l.lost())
	}
	return nil, nil
}

// cut returns the error of a head frame the rest of which will never come.
func (l *link) cut() error {
	if !l.ended || !l.in.streams() {
		return nil
	}
	if b, err := l.in.window(); err != nil || len(b) > 0 {
		return err
	}
	return l.lost()
}

// Read moves payload of the head frame into dst.
func (l *link) Read(dst []byte) (int, error) {
	l.turn.Lock()
	n, err := l.readHead(dst)
	l.turn.Unlock()
	return n, err
}

func (l *link) readHead(dst []byte) (int, error) {
	if l.shown {
		l.returned()
	}
	if l.inErr != nil {
		return 0, l.inErr
	}
	n, err := l.in.read(dst)
	if err == nil && n == 0 && len(dst) > 0 {
		err = l.cut()
	}
	return n, l.checkIn(err)
}

// Peek shows payload of the head frame.
func (l *link) Peek() ([]byte, error) {
	l.turn.Lock()
	b, err := l.peekHead()
	l.turn.Unlock()
	return b, err
}

func (l *link) peekHead() ([]byte, error) {
	if l.shown {
		l.returned()
	}
	if l.inErr != nil {
		return nil, l.inErr
	}
	b, err := l.in.window()
	if err == nil && len(b) == 0 {
		l.in.tell()
		err = l.cut()
	}
	l.shown = len(b) > 0
	return b, l.checkIn(err)
}

// Discard takes n bytes that Peek has shown.
func (l *link) Discard(n int) {
	l.turn.Lock()
	if l.shown {
		l.returned()
	}
	if l.inErr == nil {
		l.in.discard(n)
	}
	l.turn.Unlock()
}

// returned notes that the memory that Peek has shown is used no more.
func (l *link) returned() {
	l.shown = false
	if l.closed {
		l.leave()
	}
}

// leave unmaps the segment.
func (l *link) leave() {
	l.unmap.Stop()
	l.maps.release()
	l.seg, l.in.way, l.out.half = segment{}, half{}, half{}
}

// errEnded is the cause when the process at the other end went without closing the link.
var errEnded = errors.New("connection lost: the process at the other end has ended")

// lost tells why nothing comes any more.
func (l *link) lost() error {
	if l.mail.err != nil {
		return l.mail.err
	}
	if l.seg.theirs.closed.Load() != 0 {
		return transport.ErrClosed
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
	}
	return l.inErr
}

// checkOut returns the error of the sending direction, if there is one.
func (l *link) checkOut() error {
	if l.outErr != nil {
		return l.outErr
	}
	if l.ended && l.out.err == nil {
		l.out.fail(l.lost())
	}
	if l.out.err != nil {
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

// close closes the link, under the turn. The other end keeps the segment, and reads what is in it.
func (l *link) close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	if l.out.busy {
		l.out.push()
	}
	l.out.recall() // what is out can be read after this end has gone
	l.in.tell()
	l.seg.mine.closed.Store(1)
	err := unix.Close(l.fd)
	l.mail.close()
	l.fd, l.in.bell.fd, l.out.bell.fd = -1, -1, -1
	l.out.fail(transport.ErrClosed)
	l.in.reported = true
	if l.inErr == nil {
		l.inErr = l.failure("receive", transport.ErrClosed)
	}
	if l.outErr == nil {
		l.outErr = l.failure("send", transport.ErrClosed)
	}
	if l.onClose != nil {
		l.onClose(l)
	}
	if !l.shown { // else another goroutine may be reading, and leaves when it is through
		l.leave()
	}
	if err != nil {
		return l.failure("close", err)
	}
	return nil
}
