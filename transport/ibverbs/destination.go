package ibverbs

import (
	"encoding/binary"
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// destination is memory of this end that the other may write the payload of one frame to. The other
// end knows of it by a place on the board of its own.
type destination struct {
	head   transport.Header // what the frame will come with, but for what same leaves out
	dst    []byte
	state  uint8
	unsaid bool   // that it is withdrawn
	told   uint64 // the message that the other end has to have read before the place is used again
	of     ground
}

// ground is the memory that a destination lies in.
type ground interface {
	// written returns what the device has written of b: b itself, unless its pages have been given
	// back to the caller.
	written(b []byte) ([]byte, error)
	// release ends the use of b, and of what written has returned for it.
	release(b []byte)
}

// What becomes of a place: it is free; the other end may write to the destination; it may not
// know yet that it must not, and what it writes is not the caller's memory; the frame is there.
const (
	placeFree = iota
	placeOpen
	placeWithdrawn
	placeWritten
)

// destinations is the receiving end's side: what it has told the other end of.
type destinations struct {
	places   []destination
	told     uint64    // how many there were
	taken    int       // places that are not free
	unsaid   int       // destinations that are withdrawn, and the other end was not told so
	arrivals []arrival // frames that have come to destinations, in order
}

// arrival is a frame whose payload is at a destination: where in the ring its header is, or that of
// the next frame when it has none.
type arrival struct {
	at    uint64
	place int
	bare  bool // it has none: that is as it was expected
}

// same reports whether a frame with the header got is the one that is expected with want.
func same(got, want *transport.Header) bool {
	return got.Seq == want.Seq && got.Step == want.Step && got.Length == want.Length &&
		got.Comm == want.Comm && got.Epoch == want.Epoch && got.Kind == want.Kind &&
		(got.Flags^want.Flags)&^transport.Checksummed == 0 && got.Fingerprint == want.Fingerprint
}

// next returns the place to use next, -1 when it can't be used yet. heard is how many messages the
// other end has read: it has sent before what it says of that whatever it writes without having
// read them.
func (d *destinations) next(heard uint64) int {
	if len(d.places) == 0 {
		return -1
	}
	i := int(d.told % uint64(len(d.places)))
	p := &d.places[i]
	if p.state == placeWithdrawn && !p.unsaid && heard >= p.told {
		d.end(p)
	}
	if p.state != placeFree || heard < p.told {
		return -1
	}
	return i
}

// put notes a destination at the place that next has returned.
func (d *destinations) put(h *transport.Header, dst []byte, of ground) {
	p := &d.places[d.told%uint64(len(d.places))]
	*p = destination{head: *h, dst: dst, state: placeOpen, told: notYet, of: of}
	d.told++
	d.taken++
}

// notYet is the message that tells of a destination as long as there is none.
const notYet = 1<<64 - 1

// tell notes the message that tells of n destinations.
func (d *destinations) tell(place, n int, message uint64) {
	for i := place; i < place+n; i++ {
		d.places[i].told = message
	}
}

// came notes that the payload of the frame whose header is at, or that has none, is at a
// destination, false when the other end has no such destination.
func (d *destinations) came(place int, at uint64, bare bool) bool {
	if place >= len(d.places) {
		return false
	}
	p := &d.places[place]
	if p.state != placeOpen && p.state != placeWithdrawn {
		return false
	}
	p.state = placeWritten
	d.arrivals = append(d.arrivals, arrival{at, place, bare})
	return true
}

// at returns the place that has the payload of the next frame when the ring is taken up to at, and
// whether that has no header; -1 when it is in the ring. The error is that the other end has told of
// a payload in the middle of another frame.
func (d *destinations) at(at uint64) (place int, bare bool, err error) {
	if len(d.arrivals) == 0 || d.arrivals[0].at > at {
		return -1, false, nil
	}
	first := d.arrivals[0]
	if first.at < at {
		return -1, false, &transport.FrameError{
			Field: "position of a payload", Got: first.at, Want: fmt.Sprint("at least ", at),
		}
	}
	n := copy(d.arrivals, d.arrivals[1:])
	d.arrivals = d.arrivals[:n]
	return first.place, first.bare, nil
}

// withdraw notes that a destination is the caller's memory again.
func (d *destinations) withdraw(p *destination) {
	if p.state == placeOpen {
		p.state, p.unsaid = placeWithdrawn, true
		d.unsaid++
	}
}

// said notes the message that tells the other end so.
func (d *destinations) said(p *destination, message uint64) {
	p.unsaid, p.told = false, message
	d.unsaid--
}

// bypassed ends the destination of a frame that has come through the ring: the other end had
// sent it before it heard of the destination, and it sends it once.
func (d *destinations) bypassed(h *transport.Header) {
	for i := 0; i < len(d.places) && d.taken > 0; i++ {
		p := &d.places[i]
		if (p.state == placeOpen || p.state == placeWithdrawn) && same(h, &p.head) {
			d.end(p)
			return
		}
	}
}

// end frees a place. It is used again when the other end has read what it was last told of it.
func (d *destinations) end(p *destination) {
	p.of.release(p.dst)
	if p.unsaid {
		d.unsaid--
	}
	*p = destination{told: p.told}
	d.taken--
}

// clear frees all places. The other end can't write any more.
func (d *destinations) clear() {
	for i := range d.places {
		if p := &d.places[i]; p.state != placeFree {
			d.end(p)
		}
	}
	d.arrivals = nil
}

// offer is a destination of the other end.
type offer struct {
	head    transport.Header
	address uint64
	key     uint32
	is      bool
}

// offers is the sending end's side: the destinations of the other end.
type offers struct {
	places []offer
	open   int
}

// take notes what the board says of places, or that one is withdrawn.
func (o *offers) take(immediate uint32, board []byte, maxPayload int) error {
	place, n := unpackBoard(immediate)
	if place+n > len(o.places) {
		return &transport.FrameError{
			Field: "place on the board", Got: uint64(place + n - 1),
			Want: fmt.Sprint("below ", len(o.places)),
		}
	}
	for i := place; i < place+n; i++ {
		p := &o.places[i]
		o.drop(p)
		if immediate&withdrawnBit != 0 {
			continue
		}
		if err := p.read(board[i*placeBytes:][:placeBytes], maxPayload); err != nil {
			return err
		}
		p.is = true
		o.open++
	}
	return nil
}

// read reads what write has written.
func (p *offer) read(b []byte, maxPayload int) error {
	le := binary.LittleEndian
	p.address, p.key = le.Uint64(b[lineBytes:]), le.Uint32(b[lineBytes+8:])
	return p.head.Decode(b, maxPayload)
}

// write describes the destination on the board.
func (p *offer) write(b []byte) {
	p.head.Encode(b)
	le := binary.LittleEndian
	le.PutUint64(b[lineBytes:], p.address)
	le.PutUint32(b[lineBytes+8:], p.key)
}

// find returns the place of the destination for a frame, -1 when there is none.
func (o *offers) find(h *transport.Header) int {
	if o.open == 0 {
		return -1
	}
	for i := range o.places {
		if p := &o.places[i]; p.is && same(h, &p.head) {
			return i
		}
	}
	return -1
}

// drop ends an offer.
func (o *offers) drop(p *offer) {
	if p.is {
		p.is = false
		o.open--
	}
}
