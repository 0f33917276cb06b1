//go:build ibverbs && cgo && linux

package ibverbs

// #include "shim.h"
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/tutti-ml/tutti/transport"
)

// sender writes frames into the ring of the other end. What is sent lies in a ring of this end
// meanwhile, the stage, at the same place as it will there, or where the caller has it, when the
// device knows that memory.
type sender struct {
	queue *queuePair
	stage *memory // with the overhang
	size  uint64
	ring  uint64 // the address of the other end's ring
	key   uint32
	depth uint64 // messages it takes

	at   uint64 // up to where the ring is given to the device
	free uint64 // up to where the other end has taken it
	done uint64 // up to where the device has written it

	messages, heard uint64 // but those about room: that were sent, that the other end has taken

	posted, ended uint64 // work requests
	doorbells     uint64 // how often the device was told of some
	quiet         uint64 // of those posted, the last ones that will not be heard of
	quietBytes    uint64
	marks         []mark // of those that will, in order
	marked, came  uint64

	regions *regions   // memory that can be sent from where it lies
	lenders [2]*region // those of parts, when the frame at hand is sent so
	loans   []loan     // frames that are, in order
	loaned  uint64     // how many there were
	repaid  uint64     // of these, how many the device is through with
	part    uint64     // the longest message to the ring

	offers offers // where the other end wants payloads to be written
	direct uint64 // frames whose payloads were
	flying uint64 // bytes of these that the device is not through with

	first, news int // destinations of this end that the other is to hear of: the first place, how many

	list [batch]work
	n    int

	taken  uint64           // frames that were taken from the caller
	last   transport.Header // of the last of these
	head   transport.Header
	fresh  bool      // the head of the frame at hand is still to be sent
	parts  [2][]byte // what is left of its payload
	busy   bool
	owned  bool // parts is our memory: the frame counts as done
	short  bool // a frame was not taken, or not moved on, for want of room
	closed bool // the other end has closed
	err    error

	looked uint64 // came at the last look for silence
	silent int    // looks since it has not changed
}

// mark is a work request whose completion will be heard of: what is done then.
type mark struct{ posted, at, loaned uint64 }

// loan is a frame that the device reads where the caller has it.
type loan struct {
	frame   uint64 // how many were taken before it
	pieces  [2][]byte
	regions [2]*region
	flying  uint64 // bytes on their way to a destination
	owned   bool   // Reclaim has ended the lend
}

func newSender(q *queuePair, stage *memory, g *regions, r *record) sender {
	return sender{
		queue: q, stage: stage, size: uint64(r.size), ring: r.ring, key: r.key,
		depth: uint64(r.messages), marks: make([]mark, sendDepth(int(r.messages))),
		regions: g, loans: make([]loan, loansMax),
		part:   min(uint64(r.size)/4, uint64(q.of.maxMsg)) &^ (lineBytes - 1),
		offers: offers{places: make([]offer, places(int(r.messages)))},
	}
}

// room is how many bytes may be written behind at.
func (s *sender) room() uint64 { return s.size - (s.at - min(s.free, s.done)) }

// may tells whether the work queue and the other end take one message more with n bytes.
func (s *sender) may(n uint64) bool {
	return s.err == nil && s.room() >= n && s.messages-s.heard < s.depth && s.slots() > tells
}

// slots is how many work requests the queue has room for.
func (s *sender) slots() uint64 { return uint64(len(s.marks)) - (s.posted - s.ended) }

// send takes a frame, false when there is no room for it or an earlier one is unfinished.
func (s *sender) send(h *transport.Header, pieces [2][]byte) bool {
	taken := s.take(h, pieces)
	if taken {
		s.last = *h
	}
	return taken
}

func (s *sender) take(h *transport.Header, pieces [2][]byte) bool {
	s.short = false
	if s.busy {
		s.push()
	}
	if s.busy || s.err != nil {
		return false
	}
	n := uint64(h.Length)
	if n >= lendMin {
		if i := s.offers.find(h); i >= 0 {
			if s.place(h, pieces, i) {
				return true
			}
			if s.short {
				return false
			}
		} else if s.flying >= s.size/2 {
			// The other end may be about to tell where this one is to go, too; when what is on its
			// way has come and it has not, the frame goes through the ring.
			s.short = true
			return false
		}
	}
	if n > smallBytes {
		if !s.may(partMin) {
			s.short = true
			return false
		}
		s.head, s.fresh, s.parts, s.busy, s.owned = *h, true, pieces, true, false
		s.lend()
		s.taken++
		s.push()
		return true
	}
	whole := aligned(lineBytes + n)
	if !s.may(whole) {
		s.short = true
		return false
	}
	off := s.at & (s.size - 1)
	b := s.stage.bytes[off : off+lineBytes+n]
	h.Encode(b)
	k := copy(b[lineBytes:], pieces[0])
	copy(b[lineBytes+k:], pieces[1])
	s.taken++
	s.post(s.write(off, len(b), whole), false)
	s.flush()
	return true
}

// loansMax is how many frames may be sent from where they lie at a time.
const loansMax = 32

// lend has the frame at hand sent from where it lies, if the device knows that memory.
func (s *sender) lend() bool {
	if len(s.parts[0])+len(s.parts[1]) < lendMin || s.loaned-s.repaid == loansMax {
		return false
	}
	var in [2]*region
	for i, p := range s.parts {
		if len(p) == 0 {
			continue
		}
		if in[i] = s.regions.find(p); in[i] == nil {
			return false
		}
	}
	for _, r := range in {
		if r != nil {
			r.use()
		}
	}
	s.lenders = in
	s.loans[s.loaned%loansMax] = loan{frame: s.taken, pieces: s.parts, regions: in}
	s.loaned++
	return true
}

// gather makes a write of head bytes of the stage, and then of parts where they lie, n in all.
func (s *sender) gather(w *work, head, n uint64) {
	w.flags = 0
	k := 0
	if head > 0 {
		w.length[0], k = C.uint32_t(head), 1
	}
	for i, left := 0, n-head; i < len(s.parts); i++ {
		m := min(left, uint64(len(s.parts[i])))
		if m == 0 {
			continue
		}
		w.address[k] = C.uint64_t(uintptr(unsafe.Pointer(unsafe.SliceData(s.parts[i]))))
		w.length[k], w.lkey[k] = C.uint32_t(m), s.lenders[i].known.own()
		s.parts[i] = s.parts[i][m:]
		left -= m
		k++
	}
	w.pieces = C.uint32_t(k)
}

// partMin is how much room a part of a frame waits for, unless it is the rest.
const partMin = 8 << 10

// push moves the unfinished frame along as far as it goes.
func (s *sender) push() {
	for s.busy && s.err == nil {
		head := uint64(0)
		if s.fresh {
			head = lineBytes
		}
		left := uint64(len(s.parts[0]) + len(s.parts[1]))
		off := s.at & (s.size - 1)
		n := min(head+left, s.part, s.size-off)
		if n = min(n, s.room()); n < head+left && n < min(partMin, s.size-off) || !s.may(lineBytes) {
			s.short = true
			break
		}
		b := s.stage.bytes[off : off+n]
		if s.fresh {
			s.head.Encode(b)
		}
		w := s.write(off, int(n), aligned(n))
		if s.lenders != [2]*region{} {
			s.gather(w, head, n)
		} else {
			for i, b := 0, b[head:]; i < len(s.parts); i++ {
				k := copy(b, s.parts[i])
				b, s.parts[i] = b[k:], s.parts[i][k:]
			}
		}
		s.fresh = false
		if head+left == n {
			s.busy, s.parts, s.lenders = false, [2][]byte{}, [2]*region{}
		}
		s.post(w, !s.busy && s.loaned > s.repaid)
	}
	s.flush()
}

// write puts a write of n bytes of the stage on the list, which moves the ring on.
func (s *sender) write(off uint64, n int, on uint64) *work {
	w := s.image(off, n, uint32(on))
	s.at += on
	s.quietBytes += on
	return w
}

// image puts a message on the list that makes n bytes of the ring, or of the board behind it, what
// they are on the stage.
func (s *sender) image(off uint64, n int, immediate uint32) *work {
	w := s.next()
	w.opcode, w.immediate = opWrite, C.uint32_t(immediate)
	w.remote, w.rkey = C.uint64_t(s.ring+off), C.uint32_t(s.key)
	w.pieces = 1
	w.address[0], w.length[0] = C.uint64_t(s.stage.address()+off), C.uint32_t(n)
	w.lkey[0] = s.stage.own()
	if n <= s.queue.inline {
		w.flags = inlined
	}
	s.messages++
	return w
}

// next is the next place on the list.
func (s *sender) next() *work {
	if s.n == len(s.list) {
		s.flush()
	}
	w := &s.list[s.n]
	s.n++
	w.id = C.uint64_t(workID(s.queue.link, forSends))
	w.flags, w.pieces, w.remote = 0, 0, 0
	return w
}

// post counts a work request. Some are to be heard of: it is enough to know of one that those
// before it are done, and a fraction of the queue and of the ring may be in doubt.
func (s *sender) post(w *work, heard bool) {
	s.posted++
	s.quiet++
	if !heard && s.quiet < uint64(len(s.marks))/4 && s.quietBytes < s.size/4 {
		return
	}
	w.flags |= signalled
	m := mark{posted: s.posted, at: s.at, loaned: s.loaned}
	if s.lenders != [2]*region{} {
		m.loaned-- // the device is not through with the frame at hand
	}
	s.marks[s.marked%uint64(len(s.marks))] = m
	s.marked++
	s.quiet, s.quietBytes = 0, 0
}

// flush hands the list to the device.
func (s *sender) flush() {
	if s.n == 0 {
		return
	}
	s.doorbells++
	if err := s.queue.send(s.list[:s.n]); err != nil && s.err == nil {
		s.err = err
	}
	s.n = 0
}

// tell sends a message without bytes.
func (s *sender) tell(immediate uint32, heard bool) {
	w := s.next()
	w.opcode, w.immediate = opSend, C.uint32_t(immediate)
	s.post(w, heard)
	s.flush()
}

// complete notes that the device has done what the next mark stands for.
func (s *sender) complete() {
	if s.came == s.marked {
		return
	}
	m := s.marks[s.came%uint64(len(s.marks))]
	s.came++
	s.ended, s.done = m.posted, m.at
	for s.repaid < m.loaned {
		s.repay()
	}
}

// repay ends the first loan.
func (s *sender) repay() {
	l := &s.loans[s.repaid%loansMax]
	for _, r := range l.regions {
		if r != nil {
			r.unuse()
		}
	}
	s.flying -= l.flying
	*l = loan{}
	s.repaid++
}

// hear notes what the other end has taken.
func (s *sender) hear(messages, lines uint64) error {
	if messages > s.messages-s.heard || lines*lineBytes > s.at-s.free {
		return &transport.FrameError{
			Field: "room", Got: lines * lineBytes,
			Want: fmt.Sprintf("at most %d bytes of %d messages", s.at-s.free, s.messages-s.heard),
		}
	}
	s.heard += messages
	s.free += lines * lineBytes
	return nil
}

// count is how many frames are done: their memory is no longer lent.
func (s *sender) count() uint64 {
	for i := s.repaid; i < s.loaned; i++ {
		if l := &s.loans[i%loansMax]; !l.owned {
			return l.frame
		}
	}
	if s.busy && !s.owned {
		return s.taken - 1
	}
	return s.taken
}

// reclaim ends all lends: what the device reads stays as it is while its pages are the caller's
// again, and what it has not been given is copied.
func (s *sender) reclaim() {
	if s.busy && !s.owned {
		for i, p := range s.parts {
			s.parts[i] = append([]byte(nil), p...)
		}
		s.owned, s.lenders = true, [2]*region{}
	}
	for i := s.repaid; i < s.loaned; i++ {
		l := &s.loans[i%loansMax]
		if l.owned {
			continue
		}
		l.owned = true
		for _, p := range l.pieces {
			if len(p) == 0 {
				continue
			}
			if err := s.regions.detach(p); err != nil && s.err == nil {
				s.err = err
			}
		}
		l.pieces = [2][]byte{}
	}
}

// stop drops what is unfinished.
func (s *sender) stop(err error) {
	if s.err == nil {
		s.err = err
	}
	s.busy, s.parts, s.lenders = false, [2][]byte{}, [2]*region{}
}

// end gives back all that was lent. The device does nothing any more.
func (s *sender) end() {
	for s.repaid < s.loaned {
		s.repay()
	}
}
