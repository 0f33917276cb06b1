//go:build linux || darwin

package zmq

import (
	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// inlineBytes of payload are copied behind the header: one stretch of memory costs the system less
// than two (100 of 1800 ns).
const inlineBytes = 256

// writer puts frames into a non-blocking socket, at most one of them unfinished. parts is what is
// still to be sent of it: its prefix and header, and the pieces, which are the caller's memory
// until the frame is done.
type writer struct {
	fd    int
	parts [3][]byte
	first [frameBytes + inlineBytes]byte
	busy  bool   // parts has bytes left
	owned bool   // parts is our memory: the frame under way counts as done
	taken uint64 // frames
	pong  []byte // a command to be sent between frames
	msg   message
	err   error
}

func newWriter(fd int) writer { return writer{fd: fd, pong: make([]byte, 0, maxPong)} }

// send takes a frame and sends what the socket takes of it. It doesn't when an earlier one is
// unfinished and stays so.
func (w *writer) send(h *transport.Header, pieces [2][]byte) bool {
	w.flush()
	if w.busy || w.err != nil {
		return false
	}
	putPrefix(w.first[:], 0, transport.HeaderBytes+int(h.Length))
	h.Encode(w.first[longPrefix:])
	if h.Length <= inlineBytes {
		n := frameBytes + copy(w.first[frameBytes:], pieces[0])
		n += copy(w.first[n:], pieces[1])
		w.parts = [3][]byte{w.first[:n]}
	} else {
		w.parts = [3][]byte{w.first[:frameBytes], pieces[0], pieces[1]}
	}
	w.busy, w.owned = true, false
	w.taken++
	w.flush()
	return true
}

// flush sends what is unfinished, as far as the socket takes it with one call.
func (w *writer) flush() {
	if !w.busy && len(w.pong) > 0 && w.err == nil {
		w.parts[0] = w.first[:copy(w.first[:], w.pong)]
		w.pong = w.pong[:0]
		w.busy, w.owned = true, true
	}
	if !w.busy || w.err != nil {
		return
	}
	n, errno := sendParts(w.fd, &w.parts, &w.msg)
	if errno != 0 {
		if errno != unix.EAGAIN && errno != unix.EINTR {
			w.fail(errno)
		}
		return
	}
	for i := range w.parts {
		k := min(n, len(w.parts[i]))
		w.parts[i] = w.parts[i][k:]
		n -= k
	}
	if len(w.parts[0])+len(w.parts[1])+len(w.parts[2]) == 0 {
		w.parts = [3][]byte{} // lets go of the caller's memory
		w.busy = false
	}
}

// done counts the frames whose memory is the caller's again.
func (w *writer) done() uint64 {
	if w.busy && !w.owned {
		return w.taken - 1
	}
	return w.taken
}

// fail ends the writing; no memory is lent any more.
func (w *writer) fail(err error) {
	w.err = err
	w.parts = [3][]byte{}
	w.busy = false
}

// reclaim copies what has not been sent.
func (w *writer) reclaim() {
	if !w.busy || w.owned {
		return
	}
	for i := 1; i < len(w.parts); i++ {
		w.parts[i] = append([]byte(nil), w.parts[i]...)
	}
	w.owned = true
}

// answer queues the PONG to a PING. One that has not been sent yet makes way.
func (w *writer) answer(context []byte) { w.pong = appendPong(w.pong[:0], context) }

// waiting tells whether the writer would send if the socket took more.
func (w *writer) waiting() bool { return w.err == nil && (w.busy || len(w.pong) > 0) }
