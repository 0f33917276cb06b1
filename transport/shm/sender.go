//go:build linux

package shm

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/tutti-ml/tutti/transport"
)

// stepBytes is how much of a stream is filled before the other end is told: little enough that it
// begins early, and that what it takes is still in the cache that both share.
const stepBytes = 16 << 10

const (
	// linesAhead is how many frames before its own a line is fetched: the other end has it, since the lap
	// before, and handing it over takes as long as one or two frames.
	linesAhead = 2
	// fetchBytes is how much of a small payload is fetched as early. Longer ones take so long to copy that
	// the processor itself sees what they are about.
	fetchBytes = 512
)

// sender puts frames into one direction of a segment. Small ones are copied there at once; of large
// ones at most one is unfinished.
type sender struct {
	half
	lender
	mine *shared
	bell bell

	taken uint64 // frames that were taken from the caller
	gone  uint64 // of these, how many the other end has taken, as last looked
	// ends is, for each of the last frames, up to where the small ring is free once it is taken.
	ends      [lines]uint64
	smallAt   uint64
	smallFree uint64 // up to where the other end has taken the small ring

	filled uint64 // up to where the stream is filled
	freed  uint64 // up to where the other end has taken it, as last looked
	anew   uint64 // where it last began anew
	parts  [2][]byte
	busy   bool // parts has bytes left
	owned  bool // parts is our memory: the frame counts as done
	short  bool // a frame was not taken for want of room

	last identity
	err  error
}

// identity is the part of a header that rarely changes on a link.
type identity struct {
	epoch, comm uint32
	fingerprint transport.Fingerprint
}

func identityOf(h *transport.Header) identity {
	return identity{epoch: h.Epoch, comm: h.Comm, fingerprint: h.Fingerprint}
}

// of reports whether it is that of a header, which is not copied to compare it: what was written in small
// parts a moment ago is slow to read in large ones.
func (i *identity) of(h *transport.Header) bool {
	return i.epoch == h.Epoch && i.comm == h.Comm && i.fingerprint.Equal(&h.Fingerprint)
}

// send takes a frame, false when there is no room for it or an earlier one is unfinished.
func (l *link) send(h *transport.Header, pieces *[2][]byte) bool {
	s := &l.out
	if s.busy {
		s.push()
	}
	if s.busy || s.err != nil {
		return false
	}
	if s.taken-s.gone == lines && !s.look() {
		s.short = true
		return false
	}
	length := int(h.Length)
	same := s.last.of(h)
	at := &s.lines[s.taken%lines]
	prefetchWrite(unsafe.Pointer(&s.lines[(s.taken+linesAhead)%lines]))
	form := uint64(0)
	switch {
	case same && length <= restBytes:
		n := copy(at.rest[:], pieces[0])
		copy(at.rest[n:], pieces[1])
	case length > 0 && length <= inlineBytes:
		if !s.putSmall(length, pieces) {
			s.short = true
			return false
		}
	case length > 0 && l.lend(length, *pieces):
		form |= formLent
	case length > 0:
		s.parts, s.busy, s.owned = *pieces, true, false
		if s.rewind() {
			form |= formAnew
		}
		if s.err != nil {
			return false
		}
	}
	if same {
		form |= formSame
	} else {
		s.identify(at, h)
	}
	s.publish(at, h, form)
	if s.busy {
		s.push()
	}
	return true
}

// identify writes the identity of a frame, which is another than that of the frame before.
func (s *sender) identify(at *line, h *transport.Header) {
	binary.NativeEndian.PutUint32(at.rest[0:], h.Epoch)
	binary.NativeEndian.PutUint32(at.rest[4:], h.Comm)
	copy(at.rest[8:], h.Fingerprint[:])
	s.last = identityOf(h)
}

// publish makes a line, the rest of which is written, the next frame.
func (s *sender) publish(at *line, h *transport.Header, form uint64) {
	at.seq, at.step, at.length, at.credit, at.checksum = h.Seq, h.Step, h.Length, h.Credit, h.Checksum
	s.ends[s.taken%lines] = s.smallAt
	at.word.Store(uint64(stampOf(s.taken)) | form<<32 | uint64(h.Kind)<<40 | uint64(h.Flags)<<48)
	s.bell.ring(parkedForFrames)
	s.taken++
	s.short = false
}

// post takes a frame of at most inlineBytes, false when there is no room for it or an earlier one is
// unfinished.
func (s *sender) post(h *transport.Header, payload []byte) bool {
	if s.busy || s.err != nil || s.taken-s.gone == lines {
		return false
	}
	same, form := s.last.of(h), uint64(formSame)
	at := &s.lines[s.taken%lines]
	prefetchWrite(unsafe.Pointer(&s.lines[(s.taken+linesAhead)%lines]))
	if same && len(payload) <= restBytes {
		copy(at.rest[:], payload)
	} else if len(payload) > 0 && !s.putSmall(len(payload), &[2][]byte{payload}) {
		return false
	}
	if !same {
		s.identify(at, h)
		form = formFull
	}
	s.publish(at, h, form)
	return true
}

// putSmall copies a payload to the small ring, false when there is no room.
func (s *sender) putSmall(length int, pieces *[2][]byte) bool {
	at := start(s.smallAt, length, smallBytes)
	end := aligned(at + uint64(length))
	for end-s.smallFree > smallBytes {
		if !s.look() {
			return false
		}
	}
	b := s.small[at%smallBytes:]
	n := copy(b, pieces[0])
	copy(b[n:], pieces[1])
	s.smallAt = end
	ahead := end + (linesAhead-1)*(end-at) // where a payload will be if the next ones are like this
	for off := uint64(0); off < min(end-at, fetchBytes); off += lineBytes {
		prefetchWrite(unsafe.Pointer(&s.small[(ahead+off)%smallBytes]))
	}
	return true
}

// look asks how many frames the other end has taken, and tells whether these are more than before.
func (s *sender) look() bool {
	n := s.bell.theirs.frames.Load()
	if n-s.gone > s.taken-s.gone {
		s.fail(&transport.FrameError{
			Field: "number of frames taken", Got: n, Want: fmt.Sprintf("%d to %d", s.gone, s.taken),
		})
		return false
	}
	if n == s.gone {
		return false
	}
	s.gone = n
	s.smallFree = s.ends[(n-1)%lines]
	return true
}

// streamTaken is how far the other end has taken the stream, in whole lines: the end of a frame is moved
// on to a line, for which there would be no room if a part of one counted. It had taken all that was there
// when the stream began anew.
func (s *sender) streamTaken() uint64 {
	return max(s.bell.theirs.stream.Load()&^(lineBytes-1), s.anew)
}

// lookStream asks how far the other end has taken the stream.
func (s *sender) lookStream() {
	n := s.streamTaken()
	if n-s.freed > s.filled-s.freed {
		s.fail(&transport.FrameError{
			Field: "bytes of the stream taken", Got: n, Want: fmt.Sprintf("%d to %d", s.freed, s.filled),
		})
		return
	}
	s.freed = n
}

// rewind begins the stream anew, at the beginning of its ring, if the other end has taken all of it. So
// messages that fit pass through memory that is in the caches, and in the page tables, of both ends.
func (s *sender) rewind() bool {
	size := len(s.stream)
	if s.filled%uint64(size) == 0 {
		return false
	}
	if s.freed != s.filled {
		if s.lookStream(); s.err != nil || s.freed != s.filled {
			return false
		}
	}
	s.filled = lap(s.filled, size)
	s.freed, s.anew = s.filled, s.filled
	s.mine.filled.Store(s.filled) // before the line that says so
	return true
}

// push moves as much of the unfinished frame to the stream as there is room for.
func (s *sender) push() {
	size := uint64(len(s.stream))
	for i := range s.parts {
		for len(s.parts[i]) > 0 {
			free := int(size - (s.filled - s.freed))
			if free < stepBytes {
				s.lookStream()
				if s.err != nil {
					return
				}
				if free = int(size - (s.filled - s.freed)); free == 0 {
					return
				}
			}
			off := int(s.filled % size)
			n := copy(s.stream[off:min(off+stepBytes, off+free, int(size))], s.parts[i])
			s.parts[i] = s.parts[i][n:]
			s.filled += uint64(n)
			if len(s.parts[0])+len(s.parts[1]) > 0 {
				s.mine.filled.Store(s.filled)
				s.bell.ring(parkedForFrames)
			}
		}
	}
	s.filled = aligned(s.filled)
	s.mine.filled.Store(s.filled)
	s.bell.ring(parkedForFrames)
	s.parts = [2][]byte{} // lets go of the caller's memory
	s.busy = false
}

// done counts the frames whose memory is the caller's again.
func (s *sender) done() uint64 {
	if s.put != s.back {
		s.settle()
		if frame, out := s.oldest(); out {
			return frame
		}
	}
	if s.busy && !s.owned {
		return s.taken - 1
	}
	return s.taken
}

// reclaim copies what is unfinished.
func (s *sender) reclaim() {
	s.recall()
	if !s.busy || s.owned {
		return
	}
	for i := range s.parts {
		s.parts[i] = append([]byte(nil), s.parts[i]...)
	}
	s.owned = true
}

// fail ends the sending; no memory is lent any more.
func (s *sender) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.parts = [2][]byte{}
	s.busy = false
	s.lent, s.back = [references]lending{}, s.put
}

// wanting tells whether the sender would go on if the other end took something.
func (s *sender) wanting() bool { return s.err == nil && (s.busy || s.short || s.put != s.back) }

// fresh tells whether there is room that send and push have not been asked to use.
func (s *sender) fresh() bool {
	return s.put != s.back && s.bell.theirs.refs.Load() != s.back || s.busy && s.streamTaken() != s.freed ||
		s.short && s.bell.theirs.frames.Load() != s.gone
}
