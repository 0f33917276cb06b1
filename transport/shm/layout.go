//go:build linux

package shm

import (
	"sync/atomic"
	"unsafe"
)

// The sizes of a segment, in bytes but for lines. All are powers of two.
const (
	lineBytes = 64
	// lines is how many frames one direction holds that the other end has not begun to take.
	lines = 256
	// smallBytes is the ring of payloads that arrive whole, together with their header: those of
	// at most inlineBytes, which every control frame is. It is small so that it stays in cache.
	smallBytes  = 64 << 10
	inlineBytes = 4 << 10
	// The ring of larger payloads, which pass through it in pieces. A megabyte moves a stream faster
	// than half of that by a tenth (measured), but a rank has two for each peer.
	streamMin = 128 << 10
	streamMax = 1 << 20
	// streamTotal bounds the rings of one rank, all of its links together, in jobs of some size.
	streamTotal = 8 << 20

	controlBytes = 4096
	endBytes     = 1024 // of the control page, for each end

	// references is how many frames of one direction the other end may be reading where they lie.
	references     = 64
	referenceBytes = 64
)

// streamBytes is the size of the stream ring of the links of a job.
func streamBytes(ranks int) int {
	n := streamMax
	for n > streamMin && 2*n*(ranks-1) > streamTotal {
		n /= 2
	}
	return n
}

// segmentBytes is the size of a segment:
//
//	control page | lines | references | small rings | stream rings, each for both ways
func segmentBytes(stream int) int {
	return controlBytes + 2*(lines*lineBytes+references*referenceBytes+smallBytes+stream)
}

// shared is what one end tells the other, on cache lines that only it writes, but for parked. They
// stand two lines apart because processors fetch lines in pairs.
type shared struct {
	parked atomic.Uint32 // why the other end should ring: bits below
	closed atomic.Uint32 // 1: closed in order
	_      [2*lineBytes - 8]byte
	frames atomic.Uint64 // how many of the other end's frames are taken
	stream atomic.Uint64 // up to where the other end's stream is taken
	refs   atomic.Uint64 // how many of the other end's references are done with
	_      [2*lineBytes - 24]byte
	filled atomic.Uint64 // up to where this end's stream is filled
	mail   atomic.Uint32 // how many messages about memory this end has put into the socket
	_      [2*lineBytes - 12]byte
	// mapped has, for each place, the number of the other end's memory that this end has mapped there.
	mapped [places]atomic.Uint32
}

// The bits of shared.parked.
const (
	parkedForFrames = 1 << iota
	parkedForRoom   // for what this end has sent to be taken, too
)

// line is a frame's header, and the payload when it fits. It arrives as one cache line: word is
// written last.
type line struct {
	// word is, from the low end: the stamp (32 bits), which tells a fresh line from the one a lap
	// before, the form (8), the kind (8), the flags (16).
	word     atomic.Uint64
	seq      uint64
	step     uint32
	length   uint32
	credit   uint32
	checksum uint32
	// rest is epoch, communicator and fingerprint when the form is formFull. When it is formSame,
	// these are those of the last full line, and it has room for a payload.
	rest [restBytes]byte
}

const restBytes = 32

// The forms of a line: bits.
const (
	formFull = 0
	formSame = 1 << (iota - 1) // epoch, communicator and fingerprint are as in the last full line
	formLent                   // the payload is where the next reference says
	formAnew                   // the payload is at the beginning of the stream ring
	forms
)

// reference says where the payload of a frame lies, in one or two pieces. The receiver copies it
// before it looks at it.
type reference struct {
	at    [2]uint64 // offset in the memory
	place [2]uint32 // which of the memories that the other end has mapped
	first uint32    // length of the first piece; the second one has the rest of the payload
	_     [referenceBytes - 28]byte
}

// stampOf is the stamp of the n-th frame of a direction. Every line is stamped on every lap, so it
// is enough that two laps after each other differ.
func stampOf(n uint64) uint32 { return uint32(n/lines) + 1 }

// segment is the memory of a link as one end sees it. Whatever is in it may change at any time to
// anything: what is read here is checked before it is used, and what this end has written is never
// read back.
type segment struct {
	mem          []byte
	mine, theirs *shared
	out, in      half
}

// half is one direction.
type half struct {
	lines  *[lines]line
	refs   *[references]reference
	small  []byte
	stream []byte
}

// view lays a segment out over mem; end is 0 for the dialler and 1 for the acceptor.
func view(mem []byte, stream, end int) segment {
	at := controlBytes
	cut := func(n int) []byte {
		b := mem[at : at+n : at+n]
		at += n
		return b
	}
	var ways [2]half
	for i := range ways {
		ways[i].lines = (*[lines]line)(unsafe.Pointer(unsafe.SliceData(cut(lines * lineBytes))))
	}
	for i := range ways {
		b := cut(references * referenceBytes)
		ways[i].refs = (*[references]reference)(unsafe.Pointer(unsafe.SliceData(b)))
	}
	for i := range ways {
		ways[i].small = cut(smallBytes)
	}
	for i := range ways {
		ways[i].stream = cut(stream)
	}
	of := func(end int) *shared { return (*shared)(unsafe.Pointer(&mem[end*endBytes])) }
	return segment{
		mem: mem, mine: of(end), theirs: of(1 - end), out: ways[end], in: ways[1-end],
	}
}

// start is where in a ring of size bytes a payload that must not be cut begins, when the one before
// it has ended at the position at.
func start(at uint64, length, size int) uint64 {
	if off := int(at % uint64(size)); off+length > size {
		at += uint64(size - off)
	}
	return at
}

// lap is the next position at which a ring of size bytes begins.
func lap(at uint64, size int) uint64 { return (at + uint64(size) - 1) &^ (uint64(size) - 1) }

// aligned is the next multiple of a cache line: each payload begins at one.
func aligned(at uint64) uint64 { return (at + lineBytes - 1) &^ (lineBytes - 1) }
