//go:build linux

package shm

import (
	"encoding/binary"
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// receiver takes frames from one direction of a segment. Everything that it decides by is memory of
// its own: a line is copied before it is looked at, and positions are counted here.
type receiver struct {
	way        half
	mine       *shared
	bell       bell
	maxPayload int

	_       [0]uint64 // puts rest at a multiple of 8
	rest    [restBytes]byte
	begun   uint64 // frames that next has shown
	smallAt uint64 // up to where these reach in the small ring
	at      uint64 // up to where the stream is taken
	seen    uint64 // up to where it is filled, as last looked

	// What the other end knows: frames taken, and up to where the rings are.
	told, toldSmall, toldAt uint64

	head  transport.Header // whose epoch, communicator and fingerprint stay those of the last full line
	has   bool             // head is of a frame that next has not gone beyond
	left  int              // bytes of its payload that are not taken
	body  []byte           // these, when the payload came with the header; nil when it is in the stream
	small bool             // body is in the small ring
	far   borrower

	err      error
	reported bool
}

// fail breaks the receiving, at the frame at hand.
func (r *receiver) fail(err error) error {
	r.err, r.reported = err, true
	r.has, r.left, r.body = false, 0, nil
	r.far.lent, r.far.parts = false, [2][]byte{}
	return err
}

// arrived tells whether there is a frame behind those begun.
func (r *receiver) arrived() bool {
	return uint32(r.way.lines[r.begun%lines].word.Load()) == stampOf(r.begun)
}

// next returns the head frame's header, nil when none has arrived.
func (r *receiver) next() (*transport.Header, error) {
	if r.has {
		if r.left > 0 {
			if r.streams() {
				return &r.head, r.look()
			}
			return &r.head, nil
		}
		r.has = false
	}
	l := &r.way.lines[r.begun%lines]
	word := l.word.Load()
	if uint32(word) != stampOf(r.begun) {
		r.tell()
		return nil, nil
	}
	return r.begin(l, word)
}

// begin makes a line the head frame. The sender lets it alone until it hears that it is taken.
func (r *receiver) begin(l *line, word uint64) (*transport.Header, error) {
	form := uint8(word >> 32)
	h := &r.head
	h.Kind, h.Flags = transport.Kind(word>>40), transport.Flags(word>>48)
	h.Seq, h.Step, h.Length, h.Credit, h.Checksum = l.seq, l.step, l.length, l.credit, l.checksum
	r.rest = l.rest
	if form >= forms {
		return nil, r.fail(&transport.FrameError{Field: "form", Got: uint64(form), Want: fmt.Sprint("less than ", forms)})
	}
	if err := h.Check(r.maxPayload); err != nil {
		return nil, r.fail(err)
	}
	if form&formSame == 0 {
		h.Epoch = binary.NativeEndian.Uint32(r.rest[0:])
		h.Comm = binary.NativeEndian.Uint32(r.rest[4:])
		copy(h.Fingerprint[:], r.rest[8:])
	}
	if form&formAnew != 0 && (form&formLent != 0 || h.Length <= inlineBytes) {
		return nil, r.fail(&transport.FrameError{
			Field: "form", Got: uint64(form), Want: "one of a payload that goes through the stream",
		})
	}
	r.begun++
	r.has, r.left, r.body, r.small = true, int(h.Length), nil, false
	switch {
	case form&formLent != 0:
		if err := r.borrow(); err != nil {
			return nil, err
		}
	case r.left == 0:
	case form == formSame && r.left <= restBytes:
		r.body = r.rest[:r.left]
	case r.left <= inlineBytes:
		at := start(r.smallAt, r.left, smallBytes)
		off := int(at % smallBytes)
		r.body, r.small = r.way.small[off:off+r.left], true
		r.smallAt = aligned(at + uint64(r.left))
	default:
		if form&formAnew != 0 {
			r.at = lap(r.at, len(r.way.stream))
		}
		return h, r.look()
	}
	r.tellSome()
	return h, nil
}

// pick takes the next frame, if that is the one that is wanted, of at most inlineBytes. What is in its line is
// compared with what is wanted, and not used after that. The payload stays in the small ring until tellSome is
// called for it, by who takes the next frame or parks.
func (r *receiver) pick(want *transport.Header) (payload []byte, credit uint32, ok bool) {
	if r.left > 0 {
		return nil, 0, false
	}
	l := &r.way.lines[r.begun%lines]
	word := l.word.Load()
	form := uint8(word >> 32)
	wanted := uint64(stampOf(r.begun)) | uint64(form&formSame)<<32 | uint64(want.Kind)<<40 | uint64(want.Flags)<<48
	n := int(want.Length)
	if word != wanted || l.seq != want.Seq || l.step != want.Step || int(l.length) != n || n > inlineBytes {
		return nil, 0, false
	}
	if form == formSame {
		if h := &r.head; h.Epoch != want.Epoch || h.Comm != want.Comm || !h.Fingerprint.Equal(&want.Fingerprint) {
			return nil, 0, false
		}
	} else if !r.identified(&l.rest, want) {
		return nil, 0, false
	}
	r.tellSome()
	credit = l.credit
	if form == formSame && n <= restBytes {
		r.rest = l.rest
		payload = r.rest[:n]
	} else if n > 0 {
		at := start(r.smallAt, n, smallBytes)
		off := int(at % smallBytes)
		payload, r.smallAt = r.way.small[off:off+n], aligned(at+uint64(n))
	}
	r.begun++
	return payload, credit, true
}

// identified reports whether a line that has an identity has that which is wanted; then it is the last one.
func (r *receiver) identified(rest *[restBytes]byte, want *transport.Header) bool {
	r.rest = *rest
	if binary.NativeEndian.Uint32(r.rest[0:]) != want.Epoch || binary.NativeEndian.Uint32(r.rest[4:]) != want.Comm ||
		!(*transport.Fingerprint)(r.rest[8:]).Equal(&want.Fingerprint) {
		return false
	}
	r.head.Epoch, r.head.Comm, r.head.Fingerprint = want.Epoch, want.Comm, want.Fingerprint
	return true
}

// streams tells whether the head frame has payload that is in the stream, or will be.
func (r *receiver) streams() bool { return r.left > 0 && r.body == nil && !r.far.lent }

// look asks how far the stream is filled.
func (r *receiver) look() error {
	n := r.bell.theirs.filled.Load()
	if n < r.seen || n-r.at > uint64(len(r.way.stream)) {
		return r.fail(&transport.FrameError{
			Field: "bytes of the stream filled", Got: n,
			Want: fmt.Sprintf("%d to %d", r.seen, r.at+uint64(len(r.way.stream))),
		})
	}
	r.seen = n
	return nil
}

// window is the head frame's payload that is at hand in one stretch.
func (r *receiver) window() ([]byte, error) {
	if r.far.lent {
		return r.far.part(), nil
	}
	if !r.streams() {
		return r.body, nil
	}
	if err := r.look(); err != nil {
		return nil, err
	}
	size := uint64(len(r.way.stream))
	off := r.at % size
	n := min(r.seen-r.at, uint64(r.left), size-off)
	return r.way.stream[off : off+n], nil
}

// take counts n bytes of the head frame as taken.
func (r *receiver) take(n int) {
	r.left -= n
	if r.far.lent {
		if r.far.take(n); r.left == 0 {
			r.giveBack()
		}
		return
	}
	if r.body != nil {
		if r.body = r.body[n:]; r.left == 0 {
			r.body = nil
		}
		return
	}
	r.at += uint64(n)
	if r.left == 0 {
		r.at = aligned(r.at)
	}
	r.tellSome()
}

// read moves payload of the head frame to dst.
func (r *receiver) read(dst []byte) (int, error) {
	n := 0
	for n < len(dst) {
		b, err := r.window()
		if err != nil {
			return n, err
		}
		k := copy(dst[n:], b)
		if k == 0 {
			r.tell()
			break
		}
		r.take(k)
		n += k
	}
	return n, nil
}

// discard takes n bytes of what peek has shown.
func (r *receiver) discard(n int) {
	if n > 0 {
		r.take(min(n, r.left))
	}
}

// taken counts the frames whose lines, and places in the small ring, are free.
func (r *receiver) taken() uint64 {
	if r.small && r.left > 0 {
		return r.begun - 1
	}
	return r.begun
}

// tellSome is tell once it is worth a cache line.
func (r *receiver) tellSome() {
	if r.begun-r.told >= lines/4 || r.smallAt-r.toldSmall >= smallBytes/4 ||
		r.at-r.toldAt >= uint64(len(r.way.stream))/4 {
		r.tell()
	}
}

// tell lets the other end know what is taken. It has to be called before this end parks.
func (r *receiver) tell() {
	n := r.taken()
	if n == r.told && r.at == r.toldAt {
		return
	}
	if n != r.told {
		r.told, r.toldSmall = n, r.smallAt
		r.mine.frames.Store(n)
	}
	if r.at != r.toldAt {
		r.toldAt = r.at
		r.mine.stream.Store(r.at)
	}
	r.bell.ring(parkedForRoom)
}

// fresh tells whether there is something that next, or read and peek, have not been asked for.
func (r *receiver) fresh() bool {
	switch {
	case r.reported:
		return false
	case r.has && r.left > 0:
		return r.streams() && r.bell.theirs.filled.Load() != r.seen
	}
	return r.arrived()
}
