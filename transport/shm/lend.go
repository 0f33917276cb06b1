//go:build linux

package shm

import (
	"encoding/binary"
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

const (
	// places is how much memory of one end the other has mapped at a time.
	places = 64
	// lendMin is from where on a payload is read where it lies.
	lendMin = 32 << 10
	// maxRegion is more than any memory.
	maxRegion = 1 << 46
)

// lender is the part of a sender that lets the other end read payloads where they lie.
type lender struct {
	regions *regions
	grants  [places]grant
	clock   uint64
	tidied  uint32 // regions.freed when grants were last looked through

	lent [references]lending
	put  uint64 // references that the other end was given
	back uint64 // of these, how many it is done with, as last looked
}

// grant is memory that the other end may map.
type grant struct {
	of   *region
	lent int    // frames that are out
	used uint64 // when last
}

// lending is the payload of a frame that is out.
type lending struct {
	frame  uint64    // how many were taken before it
	pieces [2][]byte // for Reclaim, and so that the memory stays
	places [2]uint8
	owned  bool // Reclaim has ended the lend
}

// lend gives the other end a reference to a payload, false when it can't see that memory.
func (l *link) lend(length int, pieces [2][]byte) bool {
	s := &l.out
	n := len(pieces[0])
	if s.regions == nil || length < lendMin || n < length && n%8 != 0 || s.put-s.back == references {
		return false
	}
	ref := &s.refs[s.put%references]
	var r reference
	var g [2]uint8
	for i, p := range pieces {
		if len(p) == 0 {
			continue
		}
		place, at := l.locate(p)
		if place < 0 || at%8 != 0 {
			return false
		}
		r.at[i], r.place[i], g[i] = at, uint32(place), uint8(place)
	}
	r.first = uint32(n)
	*ref = r
	for i, p := range pieces {
		if len(p) > 0 {
			s.grants[g[i]].lent++
		}
	}
	s.lent[s.put%references] = lending{frame: s.taken, pieces: pieces, places: g}
	s.put++
	return true
}

// locate finds where the other end sees b, -1 when it does not.
func (l *link) locate(b []byte) (place int, at uint64) {
	s := &l.out
	r, at := s.regions.Find(b)
	if r == nil {
		return -1, 0
	}
	for i := range s.grants {
		g := &s.grants[i]
		if g.of != r {
			continue
		}
		s.clock++
		g.used = s.clock
		if l.seg.theirs.mapped[i].Load() != r.number {
			return -1, 0 // not yet; or it can't
		}
		return i, at
	}
	l.grant(r)
	return -1, 0
}

// grant offers memory to the other end. Its frames go as others do until that has mapped it.
func (l *link) grant(r *region) {
	s := &l.out
	l.tidy()
	place := -1 // a free one or, if there is none, the one that was used longest ago
	for i := range s.grants {
		g := &s.grants[i]
		if g.of == nil {
			place = i
			break
		}
		if g.lent == 0 && (place < 0 || g.used < s.grants[place].used) {
			place = i
		}
	}
	if place < 0 || s.grants[place].of != nil && !l.revoke(place) {
		return
	}
	var b [offerMail]byte
	b[0], b[1] = mailOffer, byte(place)
	binary.NativeEndian.PutUint32(b[4:], r.number)
	binary.NativeEndian.PutUint64(b[8:], uint64(r.Bytes()))
	sent := false
	_ = r.Pass(func(fd int) error {
		sent = l.post(b[:], fd)
		return nil
	})
	if sent {
		s.clock++
		s.grants[place] = grant{of: r, used: s.clock}
	}
}

// revoke has the other end unmap what it has at a place.
func (l *link) revoke(place int) bool {
	g := &l.out.grants[place]
	var b [forgetMail]byte
	b[0], b[1] = mailForget, byte(place)
	binary.NativeEndian.PutUint32(b[4:], g.of.number)
	if !l.post(b[:], -1) {
		return false
	}
	*g = grant{}
	return true
}

// tidy has the other end unmap memory that has been freed.
func (l *link) tidy() {
	s := &l.out
	if s.regions == nil || s.regions.freed.Load() == s.tidied || s.err != nil {
		return
	}
	freed, all := s.regions.freed.Load(), true
	for i := range s.grants {
		if g := &s.grants[i]; g.of != nil && g.of.gone.Load() {
			all = g.lent == 0 && l.revoke(i) && all
		}
	}
	if all { // else once more, later
		s.tidied = freed
	}
}

// settle asks how many references the other end is done with.
func (s *sender) settle() {
	n := s.bell.theirs.refs.Load()
	if n-s.back > s.put-s.back {
		s.fail(&transport.FrameError{
			Field: "number of references done with", Got: n, Want: fmt.Sprintf("%d to %d", s.back, s.put),
		})
		return
	}
	for ; s.back < n; s.back++ {
		f := &s.lent[s.back%references]
		for i, p := range f.pieces {
			if len(p) > 0 {
				s.grants[f.places[i]].lent--
			}
		}
		*f = lending{}
	}
}

// oldest is the first frame out whose memory is not this end's again.
func (s *sender) oldest() (frame uint64, ok bool) {
	for i := s.back; i < s.put; i++ {
		if f := &s.lent[i%references]; !f.owned {
			return f.frame, true
		}
	}
	return 0, false
}

// recall ends the lend of all references: the other end goes on seeing what is there now.
func (s *sender) recall() {
	for i := s.back; i < s.put; i++ {
		f := &s.lent[i%references]
		if f.owned {
			continue
		}
		for _, p := range f.pieces {
			if len(p) == 0 {
				continue
			}
			if err := s.regions.Detach(p); err != nil {
				s.fail(fmt.Errorf("memory that the other end reads can't be taken back: %w", err))
				return
			}
		}
		f.owned = true
	}
}
