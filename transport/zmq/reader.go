//go:build linux || darwin

package zmq

import (
	"fmt"
	"io"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// How much is read at once, in bytes.
const (
	// idleBytes is asked for while nothing is at hand: a small frame comes with one system call,
	// and of a large one no more than this is moved twice.
	idleBytes = 16 << 10
	// aheadBytes is asked for beyond the end of a payload: the next header and, often, all of a
	// next small frame.
	aheadBytes = 4 << 10
	// windowBytes is what Peek shows at most. It fits the second-level cache beside the
	// destination of a reduction.
	windowBytes = 256 << 10
	// compactBytes is moved to the front of the window without a thought.
	compactBytes = 1 << 10

	frameBytes = longPrefix + transport.HeaderBytes
	// lead puts the payload of a frame that is read into an empty buffer at a multiple of 64.
	lead       = 128 - frameBytes
	smallBytes = 128 + idleBytes
	largeBytes = 128 + windowBytes + aheadBytes
)

// reader takes ZMTP messages from a non-blocking socket and shows them as frames. What has been
// read and not taken stands in buf, in two stretches:
//
//	buf[p:q]  payload of the head frame; left further bytes of it are still in the socket
//	buf[r:w]  what follows that frame; empty as long as left > 0
//
// When p < q has been shown by peek, buf[p] has an address that is, modulo 8, the number of payload
// bytes taken so far: the payload began at a multiple of 8.
type reader struct {
	fd         int
	maxPayload int
	buf        []byte // begins at a multiple of 64
	p, q       int
	r, w       int
	taken      int // bytes of the head's payload
	left       int
	head       transport.Header
	has        bool // head is of a frame that Next has not gone beyond
	shown      bool // peek has shown all of buf[p:q]
	asked      bool // next has found no frame in buf[r:w]
	err        error
	reported   bool // err has been returned
	// ping is the context of a PING that has not been answered.
	ping   []byte
	pinged bool
}

func newReader(fd, maxPayload int) reader {
	return reader{
		fd: fd, maxPayload: maxPayload, buf: aligned(smallBytes), r: lead, w: lead,
		ping: make([]byte, 0, maxContext),
	}
}

// aligned returns n bytes at an address that is a multiple of 64.
func aligned(n int) []byte {
	b := make([]byte, n+63)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & 63)
	return b[skip : skip+n : skip+n]
}

// fresh tells whether there are bytes, or an error, that the caller has not asked for.
func (r *reader) fresh() bool {
	switch {
	case r.reported:
		return false
	case r.err != nil:
		return true
	case r.has && (r.q > r.p || r.left > 0):
		return r.q > r.p && !r.shown
	}
	return r.w > r.r && !r.asked
}

// fail returns the error if there is nothing but it.
func (r *reader) fail() error {
	if r.err == nil || r.has && r.left == 0 {
		return nil
	}
	r.reported = true
	return r.err
}

// next returns the head frame's header, nil when there is none. It reads at most once.
func (r *reader) next() (*transport.Header, error) {
	if r.has {
		if err := r.fail(); err != nil {
			return nil, err
		}
		if r.q > r.p || r.left > 0 {
			return &r.head, nil
		}
		r.has = false
	}
	r.tryParse()
	if !r.has && r.err == nil && r.fillIdle() {
		r.tryParse()
	}
	if r.has {
		return &r.head, nil
	}
	return nil, r.fail()
}

// tryParse looks for a frame in what has come since it last looked.
func (r *reader) tryParse() {
	if r.w == r.r || r.asked {
		return
	}
	ok, err := r.parse()
	if err != nil {
		r.err = err // comes before what ended the reading
	}
	r.has, r.asked = ok, !ok
}

// fillIdle reads what there is for the next frame and tells whether anything came.
func (r *reader) fillIdle() bool {
	// What is left over is less than a header or a command. At the front, the payload that
	// follows a header has its place.
	if r.r != lead {
		r.w = lead + copy(r.buf[lead:], r.buf[r.r:r.w])
		r.r = lead
	}
	n, errno := recvSmall(r.fd, r.buf[r.w:min(r.w+idleBytes, len(r.buf))])
	if !r.got(n, errno) {
		return false
	}
	r.w += n
	r.asked = false
	return true
}

// got tells whether a read brought something, and keeps its error.
func (r *reader) got(n int, errno unix.Errno) bool {
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return false
	case errno != 0:
		r.err = errno
		return false
	case n == 0:
		r.err = transport.ErrClosed
		if r.w > r.r || r.has && r.left > 0 {
			r.err = fmt.Errorf("in the middle of a frame: %w", io.ErrUnexpectedEOF)
		}
		return false
	}
	return true
}

// parse looks for a frame at buf[r:w] and makes it the head, commands before it having been obeyed.
func (r *reader) parse() (bool, error) {
	for {
		b := r.buf[r.r:r.w]
		f, ok, err := parsePrefix(b)
		if !ok {
			return false, err
		}
		if !f.command() {
			return r.parseFrame(f)
		}
		if f.size > maxCommand {
			return false, &transport.FrameError{
				Field: "length of a ZMTP command", Got: f.size, Want: fmt.Sprint("at most ", maxCommand),
			}
		}
		end := f.bytes + int(f.size)
		if len(b) < end {
			return false, nil
		}
		if err := r.obey(b[f.bytes:end]); err != nil {
			return false, err
		}
		r.r += end
	}
}

func (r *reader) parseFrame(f prefix) (bool, error) {
	switch {
	case f.more():
		return false, &transport.FrameError{
			Field: "ZMTP flags", Got: uint64(f.flags), Want: "a message of one part",
		}
	case f.size < transport.HeaderBytes,
		f.size > uint64(transport.HeaderBytes+max(r.maxPayload, transport.MaxControl)):
		return false, &transport.FrameError{
			Field: "ZMTP length", Got: f.size,
			Want: fmt.Sprintf("%d to %d", transport.HeaderBytes, transport.HeaderBytes+r.maxPayload),
		}
	case r.w-r.r < f.bytes+transport.HeaderBytes:
		return false, nil
	}
	at := r.r + f.bytes
	if err := r.head.Decode(r.buf[at:at+transport.HeaderBytes], r.maxPayload); err != nil {
		return false, err
	}
	n := int(r.head.Length)
	if uint64(n)+transport.HeaderBytes != f.size {
		return false, &transport.FrameError{
			Field: "length", Got: uint64(n), Want: fmt.Sprintf("%d, by the ZMTP length", f.size-64),
		}
	}
	r.p = at + transport.HeaderBytes
	r.q = min(r.p+n, r.w)
	r.r = r.q
	r.left = n - (r.q - r.p)
	r.taken, r.shown = 0, false
	return true, nil
}

// obey does what a command says. A PING that comes before the last one could be answered takes
// its place.
func (r *reader) obey(body []byte) error {
	name, data, err := command(body)
	if err != nil {
		return err
	}
	switch name {
	case "ERROR":
		return newPeerError(data)
	case "PING":
		r.ping, r.pinged = append(r.ping[:0], pingContext(data)...), true
	}
	return nil
}

// read moves payload into dst, first what is at hand, then straight from the socket.
func (r *reader) read(dst []byte) (int, error) {
	if !r.has || r.err != nil && r.left > 0 {
		return 0, r.broken()
	}
	n := copy(dst, r.buf[r.p:r.q])
	r.p += n
	r.shown = false
	if n < len(dst) && r.left > 0 {
		n += r.readThrough(dst[n:])
	}
	r.taken += n
	if n == 0 {
		return 0, r.fail()
	}
	return n, nil
}

// readThrough reads payload from the socket into dst, and with the last byte of the payload what
// follows it into the buffer. Nothing of the payload is at hand.
func (r *reader) readThrough(dst []byte) int {
	want := min(len(dst), r.left)
	var ahead []byte
	if want == r.left {
		ahead = r.buf[lead : lead+aheadBytes]
	}
	n, errno := recv(r.fd, dst[:want], ahead)
	if !r.got(n, errno) {
		return 0
	}
	r.p, r.q = lead, lead
	r.r, r.w = lead, lead+max(n-want, 0)
	r.asked = false
	n = min(n, want)
	r.left -= n
	return n
}

// peek shows the payload at hand, more of it having been read if there is room.
func (r *reader) peek() ([]byte, error) {
	if !r.has || r.err != nil && r.left > 0 {
		return nil, r.broken()
	}
	r.align()
	if r.left > 0 {
		r.fillWindow()
		if err := r.fail(); err != nil {
			return nil, err
		}
	}
	r.shown = true
	return r.buf[r.p:r.q:r.q], nil
}

// broken returns the error when there is no frame to read from.
func (r *reader) broken() error {
	if r.has || r.reported {
		return r.fail()
	}
	return nil
}

// align moves what is at hand of a payload down, into the space of the bytes before it, if its
// addresses are not as a caller of Peek may expect them.
func (r *reader) align() {
	shift := (r.p - r.taken) & 63
	if shift&7 == 0 || r.p == r.q {
		return
	}
	r.q = r.p - shift + copy(r.buf[r.p-shift:], r.buf[r.p:r.q])
	r.p -= shift
	if r.left > 0 {
		r.r, r.w = r.q, r.q
	}
}

// fillWindow reads further payload behind that at hand.
func (r *reader) fillWindow() {
	n := r.q - r.p
	front := r.taken & 63
	if n+r.left > len(r.buf)-front && len(r.buf) < largeBytes {
		buf := aligned(largeBytes)
		copy(buf[front:], r.buf[r.p:r.q])
		r.buf, r.p = buf, front
	} else if n <= compactBytes || len(r.buf)-r.q < min(r.left, idleBytes) && r.p >= len(r.buf)/2 {
		copy(r.buf[front:], r.buf[r.p:r.q])
		r.p = front
	}
	r.q = r.p + n
	r.r, r.w = r.q, r.q
	end := min(r.q+r.left+aheadBytes, len(r.buf))
	if r.q == end {
		return // full: the caller has to discard something
	}
	n, errno := recv(r.fd, r.buf[r.q:end], nil)
	if !r.got(n, errno) {
		return
	}
	mine := min(n, r.left)
	r.q += mine
	r.left -= mine
	r.r, r.w = r.q, r.q+n-mine
	r.asked = false
}

// discard takes n bytes that peek has shown.
func (r *reader) discard(n int) {
	n = max(0, min(n, r.q-r.p))
	r.p += n
	r.taken += n
}
