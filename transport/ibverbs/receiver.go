package ibverbs

import (
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// receiver takes frames out of the ring that the other end writes to. Everything that it decides by
// is memory of its own: a header is copied before it is looked at, and positions are counted here
// from what the messages say, which is checked.
type receiver struct {
	ring       []byte // with the overhang
	size       uint64
	depth      uint64 // messages that the other end may send before it hears that they are taken
	maxPayload int

	at         uint64 // up to where the ring is taken
	filled     uint64 // up to where it is filled
	seen       uint64 // what of that the caller has asked for
	came       uint64 // messages but those about room
	placesRead uint64 // places of the board that these were about

	// What the other end knows.
	toldAt, toldCame, toldPlaces uint64

	head   transport.Header
	has    bool   // head is of a frame that next has not gone beyond
	left   int    // bytes of its payload that are not taken
	body   []byte // these, when they lie in one stretch; nil when they come in parts
	direct int    // the place of its destination, if body is there; -1
	placed uint64 // bytes that were found where they were to be read to

	destinations destinations

	err      error
	reported bool
}

// newReceiver makes a receiver for a ring of size bytes, with all that is behind it.
func newReceiver(ring []byte, size, messages, maxPayload int) receiver {
	return receiver{
		ring: ring, size: uint64(size), depth: uint64(messages), maxPayload: maxPayload, direct: -1,
		destinations: destinations{places: make([]destination, places(messages))},
	}
}

// arrive counts a message whose immediate that is.
func (r *receiver) arrive(immediate uint32) {
	if r.err != nil {
		return
	}
	n, place := immediate&(1<<placeShift-1), int(immediate>>placeShift)
	room := r.size - (r.filled - r.toldAt)
	if n == 0 && place == 0 || n%lineBytes != 0 || uint64(n) > room {
		r.fail(&transport.FrameError{
			Field: "bytes of a message", Got: uint64(n),
			Want: fmt.Sprint("a multiple of 64 up to ", room),
		})
		return
	}
	if place > 0 && (n > lineBytes || !r.destinations.came(place-1, r.filled, n == 0)) {
		r.fail(&transport.FrameError{
			Field: "place of a payload", Got: uint64(place - 1), Want: "one of a destination",
		})
		return
	}
	r.filled += uint64(n)
}

// fail breaks the receiving behind what has been taken.
func (r *receiver) fail(err error) {
	r.err = err
	r.has, r.left, r.body, r.direct = false, 0, nil, -1
}

// next returns the head frame's header, nil when none has arrived.
func (r *receiver) next() (*transport.Header, error) {
	r.seen = r.filled
	if r.has {
		if r.left > 0 {
			return &r.head, nil
		}
		r.has = false
	}
	if r.err != nil {
		return nil, r.err
	}
	place, bare, err := r.destinations.at(r.at)
	if err != nil {
		r.fail(err)
		return nil, err
	}
	if bare {
		return r.bare(place)
	}
	if r.filled-r.at < lineBytes {
		return nil, nil
	}
	off := r.at & (r.size - 1)
	h := &r.head
	if err := h.Decode(r.ring[off:off+lineBytes], r.maxPayload); err != nil {
		r.fail(err)
		return nil, err
	}
	n := int(h.Length)
	switch {
	case place >= 0:
		if err := r.placedAt(place); err != nil {
			r.fail(err)
			return nil, err
		}
	case n >= lendMin:
		r.destinations.bypassed(h)
	case n <= smallBytes:
		whole := aligned(uint64(lineBytes + n))
		if r.filled-r.at < whole {
			r.fail(&transport.FrameError{
				Field: "length", Got: uint64(n), Want: fmt.Sprint("at most what has come: ", r.filled-r.at),
			})
			return nil, r.err
		}
		r.body = r.ring[off+lineBytes : off+lineBytes+uint64(n)]
	}
	r.at += lineBytes
	r.has, r.left = true, n
	if n == 0 {
		r.body = nil
	}
	return h, nil
}

// placedAt has the payload of the head frame be read at its destination.
func (r *receiver) placedAt(place int) (err error) {
	p := &r.destinations.places[place]
	if !same(&r.head, &p.head) {
		return &transport.FrameError{
			Field: "step of a frame with a destination", Got: uint64(r.head.Step),
			Want: fmt.Sprintf("%d of call %d, and all else as it was expected", p.head.Step, p.head.Seq),
		}
	}
	r.direct = place
	r.body, err = p.of.written(p.dst)
	return err
}

// bare makes the header of a frame that has come without one: what was expected, and the credit of
// the frame before.
func (r *receiver) bare(place int) (*transport.Header, error) {
	h := r.destinations.places[place].head
	h.Credit, h.Checksum = r.head.Credit, 0
	err := error(nil)
	if !follows(&h, &r.head) {
		err = &transport.FrameError{
			Field: "communicator of a frame without a header", Got: uint64(h.Comm),
			Want: fmt.Sprintf("%d, that of the frame before", r.head.Comm),
		}
	} else {
		r.head = h
		err = r.placedAt(place)
	}
	if err != nil {
		r.fail(err)
		return nil, err
	}
	r.has, r.left = true, int(h.Length)
	return &r.head, nil
}

// follows reports whether a header says the same of credit as that of the frame before.
func follows(h, before *transport.Header) bool {
	return before.Kind != 0 && h.Comm == before.Comm && h.Epoch == before.Epoch &&
		h.Credit == before.Credit
}

// window is the head frame's payload that is at hand in one stretch.
func (r *receiver) window() []byte {
	if r.body != nil || r.left == 0 {
		return r.body
	}
	r.seen = r.filled
	off := r.at & (r.size - 1)
	n := min(r.filled-r.at, uint64(r.left), r.size-off)
	return r.ring[off : off+n]
}

// take counts n bytes of the head frame as taken.
func (r *receiver) take(n int) {
	r.left -= n
	if r.body != nil {
		r.body = r.body[n:]
	}
	if r.direct < 0 {
		r.at += uint64(n)
	} else if r.left == 0 {
		r.destinations.end(&r.destinations.places[r.direct])
		r.direct = -1
	}
	if r.left == 0 {
		r.at, r.body = aligned(r.at), nil
	}
}

// read moves payload of the head frame to dst.
func (r *receiver) read(dst []byte) int {
	n := 0
	for n < len(dst) {
		from := r.window()
		k := min(len(dst)-n, len(from))
		if k == 0 {
			break
		}
		if &dst[n] == &from[0] {
			r.placed += uint64(k)
		} else {
			copy(dst[n:], from)
		}
		r.take(k)
		n += k
	}
	return n
}

// waits tells whether the head frame has payload that has yet to come.
func (r *receiver) waits() bool { return r.left > 0 && len(r.window()) == 0 }

// fresh tells whether there is something that next, or read and peek, have not been asked for.
func (r *receiver) fresh() bool {
	switch {
	case r.reported:
		return false
	case r.err != nil:
		return true
	case r.has && r.left > 0:
		return r.body == nil && r.filled != r.seen
	}
	return r.filled-r.at >= lineBytes || len(r.destinations.arrivals) > 0
}

// due tells what to tell the other end of room: how many messages, and lines of the ring, have
// become free; nothing before it is a quarter, or a quarter of the board has been read. So at
// most 13 such messages are under way that the other end has not looked at: it sends no more
// than a ring, depth messages, and a board, beyond what it has heard. And a sender that waits
// for room is never left waiting: three quarters are more than any frame, or part of one, needs.
func (r *receiver) due() (messages, lines uint64, is bool) {
	free := r.at &^ (lineBytes - 1)
	board := uint64(len(r.destinations.places))
	if free-r.toldAt < r.size/4 && r.came-r.toldCame < r.depth/4 &&
		r.placesRead-r.toldPlaces < board/4 {
		return 0, 0, false
	}
	return r.came - r.toldCame, (free - r.toldAt) / lineBytes, true
}

// told notes that the other end was told that.
func (r *receiver) told(messages, lines uint64) {
	r.toldCame += messages
	r.toldPlaces = r.placesRead
	r.toldAt += lines * lineBytes
}
