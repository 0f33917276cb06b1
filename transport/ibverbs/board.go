//go:build ibverbs && cgo && linux

package ibverbs

// #include "shim.h"
import "C"

import "github.com/tutti-ml/tutti/transport"

// boardAt is where in the memory that the other end writes to a place of the board begins.
func boardAt(size uint64, place int) uint64 {
	return size + overhang + uint64(place)*placeBytes
}

// place has the device write a payload from where it lies to its destination, and behind it the
// header alone to the ring, unless that says nothing that the other end does not know. False
// means that it waits for room, when short says so, or that it has to go through the ring: that the
// other end finds.
func (s *sender) place(h *transport.Header, pieces [2][]byte, i int) bool {
	o := &s.offers.places[i]
	most := uint64(s.queue.of.maxMsg) &^ (lineBytes - 1)
	writes := (uint64(h.Length) + most - 1) / most
	full := !s.may(lineBytes) || s.slots() <= tells+writes || s.loaned-s.repaid == loansMax
	if writes <= tells && full {
		s.short = true
		return false
	}
	s.parts = pieces
	if writes > tells || !s.lend() {
		s.parts = [2][]byte{}
		s.offers.drop(o)
		return false
	}
	s.loans[(s.loaned-1)%loansMax].flying = uint64(h.Length)
	s.flying += uint64(h.Length)
	var w *work
	for at := uint64(0); at < uint64(h.Length); at += most {
		if w != nil {
			s.post(w, false)
		}
		w = s.next()
		w.opcode, w.immediate = opQuietWrite, 0
		w.remote, w.rkey = C.uint64_t(o.address+at), C.uint32_t(o.key)
		s.gather(w, 0, min(most, uint64(h.Length)-at))
	}
	if h.Flags&transport.Checksummed == 0 && follows(h, &s.last) {
		w.opcode = opWrite
		s.messages++
	} else {
		s.post(w, false)
		off := s.at & (s.size - 1)
		h.Encode(s.stage.bytes[off : off+lineBytes])
		w = s.write(off, lineBytes, lineBytes)
	}
	s.parts, s.lenders = [2][]byte{}, [2]*region{}
	w.immediate |= C.uint32_t(i+1) << placeShift
	s.offers.drop(o)
	s.taken++
	s.direct++
	s.post(w, true)
	s.flush()
	return true
}

// mayNotice tells whether there is room for a message about a destination, beside those that frames
// need.
func (s *sender) mayNotice() bool {
	return s.err == nil && s.messages-s.heard < s.depth/2 && s.slots() > tells
}

// describe puts a destination on the list of those that the other end is to hear of, false when
// that has to be told first.
func (s *sender) describe(place int, o *offer) bool {
	if s.news > 0 && place != s.first+s.news {
		return false
	}
	if s.news == 0 {
		s.first = place
	}
	s.news++
	o.write(s.stage.bytes[boardAt(s.size, place):])
	return true
}

// tellNews tells the other end of the destinations on the list.
func (s *sender) tellNews() {
	w := s.image(boardAt(s.size, s.first), s.news*placeBytes, packBoard(s.first, s.news))
	s.news = 0
	s.post(w, false)
	s.flush()
}

// tellEnd tells the other end that there is no destination at a place any more.
func (s *sender) tellEnd(place int) {
	w := s.next()
	w.opcode, w.immediate = opSend, C.uint32_t(packBoard(place, 1))|withdrawnBit
	s.messages++
	s.post(w, false)
	s.flush()
}
