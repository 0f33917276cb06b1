package proxy

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// A large body for a component of this host goes through memory that both see: it is copied there a
// piece at a time, once for all receivers of a broadcast, and each reads it there. The rings of a
// link would take it in many small steps, at each of which one end waits for the other.
const (
	stageMin   = 64 << 10  // the smallest body that goes so
	pieceBytes = 512 << 10 // fragmentBytes is a multiple of it
	arenaBytes = 4 << 20   // memory that is made at once
	maxArenas  = 8
	maxLent    = 16 // pieces that one link has
	// maxShared bounds the bodies whose pieces stay until all receivers of a broadcast have been
	// sent them.
	maxShared = 4 << 20
	// stageTime is how long the memory is kept without use.
	stageTime = 10 * time.Second
)

// stage is the memory that the components of this host see. It belongs to the holder of the turn.
type stage struct {
	special transport.Allocator // nil where links have nothing better than their rings
	refused bool                // to make more memory
	log     *slog.Logger
	arenas  []*arena
	free    []*piece // that used last at the end
	out     int      // pieces that somebody holds
	used    time.Time
}

type arena struct {
	memory []byte
	lost   int // bytes in pieces that are not seen any more
}

// piece is a part of an arena, with a part of a body.
type piece struct {
	bytes   []byte
	of      *arena
	holders int  // the body that it was copied from, and frames on links
	spoilt  bool // peers do not see what is written there any more
}

// take returns a piece that nobody holds, with one holder; nil when there is none.
func (s *stage) take() *piece {
	if len(s.free) == 0 && !s.grow() {
		return nil
	}
	last := len(s.free) - 1
	p := s.free[last]
	s.free[last] = nil
	s.free = s.free[:last]
	p.holders = 1
	s.out++
	return p
}

func (s *stage) grow() bool {
	if s.refused || len(s.arenas) == maxArenas {
		return false
	}
	memory, err := s.special.Alloc(arenaBytes)
	if err != nil {
		s.log.Debug("large bodies go through the rings of links", "error", err)
		s.refused = true
		return false
	}
	a := &arena{memory: memory}
	s.arenas = append(s.arenas, a)
	for rest := memory; len(rest) > 0; rest = rest[pieceBytes:] {
		s.free = append(s.free, &piece{bytes: rest[:pieceBytes:pieceBytes], of: a})
	}
	return true
}

// release lets go of a piece.
func (s *stage) release(p *piece) {
	if p.holders--; p.holders > 0 {
		return
	}
	s.out--
	if !p.spoilt {
		s.free = append(s.free, p)
		return
	}
	if p.of.lost += len(p.bytes); p.of.lost == len(p.of.memory) {
		s.special.Free(p.of.memory)
		s.arenas = slices.DeleteFunc(s.arenas, func(a *arena) bool { return a == p.of })
	}
}

// trim lets go of memory that has not been used for long.
func (s *stage) trim(now time.Time) {
	if s.out > 0 || len(s.arenas) == 0 || now.Sub(s.used) < stageTime {
		return
	}
	for _, a := range s.arenas {
		s.special.Free(a.memory)
	}
	s.arenas, s.free = nil, nil
}

// staged is what of a body lies on the stage.
type staged struct {
	pieces []*piece // by their place in the body; nil where it does not
	unsent int      // how many messages have this body and are not sent yet
}

// stages says whether the next part of a message goes through memory that its receiver sees.
func (e *engine) stages(p *peer, o *outgoing) bool {
	return e.stage.special != nil && o.staged != nil && len(o.body) >= stageMin && !e.remote(p) &&
		max(0, o.sent-len(o.meta))%pieceBytes == 0
}

// stagePiece returns the piece of a message's body that is sent next, nil when there is no room.
func (e *engine) stagePiece(o *outgoing) *piece {
	at := max(0, o.sent-len(o.meta)) / pieceBytes
	s := o.staged
	for len(s.pieces) <= at {
		s.pieces = append(s.pieces, nil)
	}
	if s.pieces[at] == nil {
		q := e.stage.take()
		if q == nil {
			return nil
		}
		copy(q.bytes, o.body[at*pieceBytes:])
		e.stage.used = e.now()
		s.pieces[at] = q
	}
	return s.pieces[at]
}

// sendStaged offers the next part of a message to a link, out of memory that the receiver sees. The
// meta goes before it, alone, for a frame lies there whole or not at all. Where there is no room,
// and none comes back from this link, it says so.
func (e *engine) sendStaged(l *link, p *peer, o *outgoing) (taken, room bool, err error) {
	if e.reap(l); l.closed || len(l.lent) == maxLent {
		return false, true, nil // what comes back wakes
	}
	q := e.stagePiece(o)
	if q == nil {
		return false, len(l.lent) > 0, nil
	}
	if o.sent == 0 {
		taken, err = e.sendData(l, p, [2][]byte{o.meta})
		if taken {
			o.sent, o.step = len(o.meta), 1
		}
		return taken, true, err
	}
	at := o.sent - len(o.meta)
	n := min(len(o.body)-at, pieceBytes)
	if taken, err = e.sendData(l, p, [2][]byte{q.bytes[:n]}); !taken || err != nil {
		return false, true, err
	}
	q.holders++
	l.lent = append(l.lent, lent{l.taken, q})
	o.sent += n
	o.step++
	s := o.staged
	if s.unsent == 1 || len(o.body) > maxShared {
		s.pieces[at/pieceBytes] = nil
		e.stage.release(q)
	}
	return true, true, nil
}

// unstage takes note that a message needs the stage no more.
func (e *engine) unstage(o *outgoing) {
	if s := o.staged; s != nil {
		o.staged = nil
		e.leaveStage(s)
	}
}

// leaveStage takes note that one message less has this body. With the last one its pieces go.
func (e *engine) leaveStage(s *staged) {
	if s.unsent--; s.unsent > 0 {
		return
	}
	for _, q := range s.pieces {
		if q != nil {
			e.stage.release(q)
		}
	}
	s.pieces = nil
}

// lent is a piece that a link has a frame of.
type lent struct {
	frame uint64 // the number of frames that were taken with it
	piece *piece
}

// returned lets go of the pieces whose frames are done.
func (e *engine) returned(l *link) {
	n := 0
	for n < len(l.lent) && l.lent[n].frame <= l.done {
		e.stage.release(l.lent[n].piece)
		n++
	}
	if n > 0 {
		l.lent = slices.Delete(l.lent, 0, n)
	}
}

// reclaim ends all lends of a link, those of the stage too, whose memory is then like any other.
func (e *engine) reclaim(l *link) {
	l.Reclaim()
	for i := range l.lent {
		l.lent[i].piece.spoilt = true
	}
}

// ended lets go of the pieces that a link had when it ended.
func (e *engine) ended(l *link) {
	for _, f := range l.lent {
		f.piece.spoilt = true
		e.stage.release(f.piece)
	}
	l.lent = nil
}

// theirs says whether all that a link has not done is to be read by the other end.
func (l *link) theirs() bool {
	return len(l.lent) > 0 && l.lent[len(l.lent)-1].frame == l.taken
}
