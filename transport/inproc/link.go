package inproc

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/tutti-ml/tutti/transport"
)

// Link is one end of a link; see transport.Link.
type Link struct {
	endpoint *Endpoint
	peer     *Endpoint
	out, in  *lane
	closed   atomic.Bool

	head    *slot            // the frame that Next has shown
	header  transport.Header // its header, which stays when the slot is used again
	taken   int              // bytes of its payload
	showing bool             // Peek shows the sender's memory
	shown   int              // bytes that Peek has shown and Discard may take
	stage   stage
}

func newLink(e, peer *Endpoint, out, in *lane) *Link {
	return &Link{endpoint: e, peer: peer, out: out, in: in}
}

// Peer returns the rank at the other end.
func (l *Link) Peer() int { return l.peer.place.rank }

// String describes the link.
func (l *Link) String() string {
	return fmt.Sprintf("inproc %s: rank %d to rank %d", l.endpoint.place.job,
		l.endpoint.place.rank, l.peer.place.rank)
}

// Send offers a frame. A header that does not fit its payload, or a payload over the limit, is a
// *transport.FrameError, and the link is as good as before.
func (l *Link) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if n := len(pieces[0]) + len(pieces[1]); uint64(h.Length) != uint64(n) {
		return false, &transport.FrameError{
			Field: "length", Got: uint64(h.Length), Want: fmt.Sprint(n, ", the sum of the pieces"),
		}
	}
	if err := checkHeader(h, l.endpoint.maxPayload); err != nil {
		return false, err
	}
	return l.out.send(h, pieces)
}

// checkHeader checks what Header.Decode would check of a header from a wire.
func checkHeader(h *transport.Header, maxPayload int) error {
	if h.Kind < transport.Data || h.Kind > transport.Goodbye {
		return &transport.FrameError{Field: "kind", Got: uint64(h.Kind), Want: "data to goodbye"}
	}
	limit := maxPayload
	if h.Kind != transport.Data {
		limit = min(limit, transport.MaxControl)
	}
	if uint64(h.Length) > uint64(limit) {
		return &transport.FrameError{
			Field: "length", Got: uint64(h.Length), Want: fmt.Sprint("at most ", limit),
		}
	}
	return nil
}

// Sent returns how many of the frames taken are no longer lent.
func (l *Link) Sent() (uint64, error) { return l.out.sent() }

// Reclaim ends every lend. It waits for a receiver that is looking at one; see the package comment.
func (l *Link) Reclaim() {
	for _, o := range l.endpoint.all() {
		o.lookAway()
	}
	l.out.reclaim()
}

// Next returns the header at the head of the link.
func (l *Link) Next() (*transport.Header, error) {
	l.lookAway()
	if l.head != nil {
		if l.head.header.Length > 0 && !l.closed.Load() {
			l.in.asked()
			return &l.header, nil
		}
		l.finish()
	}
	l.in.asked()
	err := l.in.recvErr.Load()
	at := l.in.head.Load()
	if at == l.in.arrived.Load() || l.closed.Load() {
		if err != nil {
			return nil, err
		}
		return nil, nil
	}
	s := &l.in.ring[at%depth]
	if err := checkHeader(&s.header, l.endpoint.maxPayload); err != nil {
		l.in.fail(err)
		l.in.deserted.Store(true)
		return nil, l.in.recvErr.Load()
	}
	l.head, l.header, l.taken, l.shown = s, s.header, 0, 0
	l.stage.reset()
	if s.header.Length == 0 {
		l.in.consume(at + 1)
		if at+1 != l.in.arrived.Load() {
			l.in.tell() // the next call of Next reaches what is behind
		}
	}
	return &l.header, nil
}

// current is the frame whose payload can be taken, nil where there is none.
func (l *Link) current() (*slot, error) {
	l.in.asked()
	if l.head != nil && !l.closed.Load() {
		return l.head, nil
	}
	err := l.in.recvErr.Load()
	if err == nil || l.in.head.Load() != l.in.arrived.Load() && !l.closed.Load() {
		return nil, nil
	}
	return nil, err
}

// Read copies payload straight from where it is.
func (l *Link) Read(dst []byte) (int, error) {
	l.lookAway()
	s, err := l.current()
	if s == nil || len(dst) == 0 {
		return 0, err
	}
	pieces, lent := l.in.look(s, true)
	n := copyFrom(dst, pieces, l.taken)
	if lent {
		l.in.lookAway()
	}
	l.advance(n)
	return n, nil
}

// copyFrom copies the payload from byte at on.
func copyFrom(dst []byte, pieces [2][]byte, at int) int {
	if at >= len(pieces[0]) {
		return copy(dst, pieces[1][at-len(pieces[0]):])
	}
	n := copy(dst, pieces[0][at:])
	return n + copy(dst[n:], pieces[1])
}

// advance takes n bytes of the head frame, and the frame when they were its last.
func (l *Link) advance(n int) {
	if n == 0 {
		return
	}
	l.taken += n
	l.shown = 0
	if l.taken == int(l.head.header.Length) {
		l.finish()
	}
}

func (l *Link) finish() {
	s := l.head
	l.head = nil
	l.in.pass(s)
}

// Peek shows the payload where it is: in the lane's memory, in the sender's, or, where that is not
// aligned or not in one piece, in a copy of the part that comes next.
func (l *Link) Peek() ([]byte, error) {
	l.lookAway()
	s, err := l.current()
	if s == nil || s.header.Length == 0 {
		return nil, err
	}
	if b := l.stage.from(l.taken, int(s.header.Length)); b != nil {
		l.shown = len(b)
		return b, nil
	}
	pieces, lent := l.in.look(s, false)
	b := window(s, pieces, l.taken)
	if b == nil {
		b = l.stage.fill(pieces, l.taken)
	} else if lent {
		l.showing = true
		l.endpoint.showing.Add(1)
		lent = false
	}
	if lent {
		l.in.lookAway()
	}
	l.shown = len(b)
	return b, nil
}

// window is what can be shown of the payload from byte at on without a copy, nil where that would
// not be aligned or would cut an element.
func window(s *slot, pieces [2][]byte, at int) []byte {
	first, second := pieces[0], pieces[1]
	switch {
	case len(second) == 0:
		return aligned(first, at, 0)
	case len(first) == 0:
		return aligned(second, at, 0)
	case s.header.Kind != transport.Data || len(first)%8 != 0:
		return nil
	case at < len(first):
		return aligned(first, at, 0)
	}
	return aligned(second, at, len(first))
}

// aligned returns the rest of a piece that begins at byte start of the payload, if it is aligned.
func aligned(piece []byte, at, start int) []byte {
	if int(uintptr(unsafe.Pointer(unsafe.SliceData(piece)))%8) != start%8 {
		return nil
	}
	rest := piece[at-start:]
	return rest[:len(rest):len(rest)]
}

// Discard takes n bytes that Peek has shown, and panics when it has not shown as many.
func (l *Link) Discard(n int) {
	if n < 0 || n > l.shown {
		panic(fmt.Sprintf("inproc: Discard of %d bytes when Peek has shown %d", n, l.shown))
	}
	l.lookAway()
	l.in.asked()
	if l.head != nil {
		l.advance(n)
	}
}

// lookAway ends what Peek has shown of the sender's memory.
func (l *Link) lookAway() {
	if l.showing {
		l.showing = false
		l.endpoint.showing.Add(-1)
		l.in.lookAway()
	}
}

// Close closes the link: what was sent still arrives.
func (l *Link) Close() error {
	l.lookAway()
	l.shut()
	return nil
}

// shut is Close, by any goroutine.
func (l *Link) shut() {
	if l.closed.Swap(true) {
		return
	}
	l.out.closeSender()
	l.in.closeReceiver()
	l.endpoint.drop(l)
	n := l.endpoint.network
	n.mu.Lock()
	n.forget(l.in)
	n.mu.Unlock()
}
