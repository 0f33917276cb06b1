//go:build linux

package shm

import (
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

// mapping is memory of the other end.
type mapping struct {
	number uint32
	mem    []byte
}

// mappings is all that a link has mapped, apart from the link, so that it goes with that.
type mappings struct {
	link []byte
	maps [places]mapping
}

func (m *mappings) release() {
	if m.link != nil {
		release(m.link)
	}
	for i := range m.maps {
		if m.maps[i].mem != nil {
			release(m.maps[i].mem)
		}
	}
	*m = mappings{}
}

// borrower is the part of a receiver that reads payloads where the other end has them.
type borrower struct {
	*mappings
	lent  bool      // the head frame's payload lies there
	parts [2][]byte // what is left of it
	from  [2]uint32 // the places of the parts
	begun uint64    // references that next has shown
	done  uint64    // of these, how many are taken
}

// borrow finds the payload of the head frame.
func (r *receiver) borrow() error {
	ref := r.way.refs[r.far.begun%references]
	r.far.begun++
	lengths := [2]uint64{uint64(ref.first), uint64(r.left) - uint64(ref.first)}
	if r.left == 0 || uint64(ref.first) > uint64(r.left) || lengths[1] > 0 && lengths[0]%8 != 0 {
		return r.fail(&transport.FrameError{
			Field: "first piece", Got: uint64(ref.first), Want: fmt.Sprintf("a part of %d bytes", r.left),
		})
	}
	for i, n := range lengths {
		r.far.parts[i] = nil
		if n == 0 {
			continue
		}
		place, at := ref.place[i], ref.at[i]
		if place >= places || r.far.maps[place].mem == nil {
			return r.fail(&transport.FrameError{
				Field: "place of memory", Got: uint64(place), Want: "one that is mapped",
			})
		}
		mem := r.far.maps[place].mem
		if at%8 != 0 || at > uint64(len(mem)) || n > uint64(len(mem))-at {
			return r.fail(&transport.FrameError{
				Field: "offset in memory", Got: at,
				Want: fmt.Sprintf("a multiple of 8 with room for %d bytes below %d", n, len(mem)),
			})
		}
		r.far.parts[i], r.far.from[i] = mem[at:at+n:at+n], place
	}
	r.far.lent = true
	return nil
}

// part is the first stretch of the payload that is not taken.
func (b *borrower) part() []byte {
	if len(b.parts[0]) > 0 {
		return b.parts[0]
	}
	return b.parts[1]
}

// take takes n bytes of the payload.
func (b *borrower) take(n int) {
	k := min(n, len(b.parts[0]))
	b.parts[0] = b.parts[0][k:]
	b.parts[1] = b.parts[1][n-k:]
}

// giveBack lets the other end have its memory again.
func (r *receiver) giveBack() {
	r.far.lent, r.far.parts = false, [2][]byte{}
	r.far.done++
	r.mine.refs.Store(r.far.done)
	r.bell.ring(parkedForRoom)
}

// forget unmaps memory that the other end has done with.
func (r *receiver) forget(place int, number uint32) error {
	m := &r.far.maps[place]
	if m.mem == nil {
		return nil // it could not be mapped
	}
	for i, p := range r.far.parts {
		if len(p) > 0 && r.far.from[i] == uint32(place) {
			return fmt.Errorf("%w: memory is taken back that holds the frame at hand", errMail)
		}
	}
	if m.number != number {
		return fmt.Errorf("%w: memory %d is taken back, place %d has %d", errMail, number, place, m.number)
	}
	r.mine.mapped[place].Store(0)
	release(m.mem)
	*m = mapping{}
	return nil
}
