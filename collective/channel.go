package collective

import (
	"github.com/tutti-ml/tutti/transport"
)

// window is how many bytes of frames, headers included, a rank may have on their way to a peer,
// for one communicator, that the peer's calls have not taken. So it bounds what a peer must hold
// of frames that no call has posted for.
const window = 4 << 20

// channel is the path of one communicator's frames to and from one peer: collectives on one, Send
// and Recv on another. Its frames are in order, so the next one belongs to the next operation
// that was posted; nothing needs to be matched.
type channel struct {
	id    channelID
	comm  *Comm // nil until this rank has made the communicator
	peer  *peer
	lane  *lane            // what its frames go out on; nil until one does
	from  *inLink          // what they come in on; nil until one does
	sendQ queue[*callLink] // calls that have frames to send, in order of their calls
	recvQ queue[*callLink] // calls that expect frames

	// Credit counts bytes of frames, modulo 2^32.
	sent, acked uint32 // this way: sent, and taken by the peer as it last told
	taken, told uint32 // the other way: taken by calls here, and what was last told

	sendSeq, recvSeq uint64 // numbers of the next Send and Recv

	left bool // the peer has closed the communicator before this rank made it

	held      queue[*heldFrame]
	heldBytes int
}

// channelID names a channel on a link.
type channelID struct {
	comm uint32
	p2p  bool
}

func idOf(h *transport.Header) channelID {
	return channelID{h.Comm, h.Flags&transport.PointToPoint != 0}
}

// heldFrame is a frame in memory of the engine's: one that was read before a call posted for it, or
// the payload of one to be sent that is not as the caller's memory is.
type heldFrame struct {
	header transport.Header
	data   []byte
	got    int
}

// room reports whether the window has room for a frame of so many bytes. A frame goes whatever its
// size when less than half of the window is on its way: the peer may have taken all of that and not
// told, as take does not before it is half of the window.
func (ch *channel) room(bytes uint32) bool {
	out := ch.sent - ch.acked
	return out < window/2 || out+bytes <= window
}

// fits reports whether a frame of so many bytes, headers included, may come on top of what is held:
// the peer has sent it by the rule of room.
func (ch *channel) fits(bytes int) bool {
	return ch.heldBytes < window/2 || ch.heldBytes+bytes <= window
}

// take notes that a call has taken a frame, and reports whether the peer should be told now,
// rather than by the next frame that goes its way.
func (ch *channel) take(bytes uint32) bool {
	ch.taken += bytes
	return ch.taken-ch.told >= window/2
}

// ack notes what the peer says that it has taken. What it could not have taken is refused.
func (ch *channel) ack(credit uint32) bool {
	if credit-ch.acked > ch.sent-ch.acked {
		return false
	}
	ch.acked = credit
	return true
}

// queue is a first-in-first-out list that keeps its memory.
type queue[T any] struct {
	items []T
	at    int
}

func (q *queue[T]) len() int { return len(q.items) - q.at }

func (q *queue[T]) push(v T) {
	if q.at > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.at:])
		clear(q.items[n:])
		q.items, q.at = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// head returns the oldest item, the zero value when there is none.
func (q *queue[T]) head() (v T) {
	if q.at < len(q.items) {
		v = q.items[q.at]
	}
	return v
}

func (q *queue[T]) pop() T {
	v := q.items[q.at]
	var zero T
	q.items[q.at] = zero
	q.at++
	if q.at == len(q.items) {
		q.items, q.at = q.items[:0], 0
	}
	return v
}

func (q *queue[T]) clear() {
	clear(q.items)
	q.items, q.at = q.items[:0], 0
}
