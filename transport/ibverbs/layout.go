package ibverbs

// The sizes of a link, in bytes but for the depths. Rings are powers of two.
const (
	lineBytes = 64
	// smallBytes is up to what payload a frame is one message and lies in the ring in one
	// stretch, as every control frame does.
	smallBytes = 4 << 10
	// overhang is what a ring has behind its end, so that such a frame can begin at its last line.
	overhang = lineBytes + smallBytes

	// lendMin is from where on a payload is sent from where it lies, and to a destination.
	lendMin = 16 << 10

	ringMin = 64 << 10
	ringMax = 512 << 10
	// ringTotal bounds the rings of one rank, all links together, in jobs of some size.
	ringTotal = 16 << 20

	// A ring takes at most so many messages that the other end has not heard are taken.
	depthMin = 32
	depthMax = 256
	// tells is how many messages about room there may be beside these: see receiver.tellSome.
	tells = 16
)

// ringBytes is the size of the rings of the links of a job.
func ringBytes(ranks int) int {
	n := ringMax
	for n > ringMin && 2*n*(ranks-1) > ringTotal {
		n /= 2
	}
	return n
}

// depth is how many messages the links of a job take: all receives that a rank has posted, and all
// sends that it has under way, have to find room in its one completion queue.
func depth(ranks int) int {
	switch {
	case ranks <= 32:
		return depthMax
	case ranks <= 128:
		return 64
	}
	return depthMin
}

// ringOf is how many bytes of memory an end lets the other write to: a ring, what hangs over,
// and the board behind that, where the other end describes destinations (destination.go).
func ringOf(size, messages int) int { return size + overhang + places(messages)*placeBytes }

// placeBytes is what a destination takes on the board: the header of the frame in a line, and in a
// second one the address (8) and the key (4).
const placeBytes = 2 * lineBytes

// places is how many places the board of a link has whose ends take so many messages. An end hears
// after a quarter of them what has been read.
func places(messages int) int { return messages / 2 }

// owedMax is how many receives are posted again at a time.
const owedMax = 8

// The work queues of a link whose other end takes so many messages: as many may be under way, and
// besides them those about room, and the goodbye.
func sendDepth(messages int) int    { return messages/2 + 2*tells }
func receiveDepth(messages int) int { return messages + 2*tells }

// aligned is the next multiple of a line: each frame begins at one.
func aligned(at uint64) uint64 { return (at + lineBytes - 1) &^ (lineBytes - 1) }

// What an immediate says. A message with bytes of a frame has how far it moves the end of what
// has come, in bytes, and above them, when the payload of the frame has been written to a
// destination, one more than the place of that: such a frame is a line of the ring, its header, or
// nothing there. A message about destinations has
// boardBit, the first place, and above it how many more follow, or withdrawnBit when that one is
// none any more. One about room has tellBit, and then how many messages and lines of the ring
// are taken; or it is goodbye.
const (
	tellBit      = 1 << 31
	boardBit     = 1 << 30
	withdrawnBit = 1 << 29
	placeShift   = 20
	placeBits    = 8
	moreBits     = 8
	goodbye      = 1<<32 - 1
	tellLineBits = 16
	tellLines    = 1<<tellLineBits - 1
	tellMessages = 1<<(31-tellLineBits) - 1
)

func packBoard(place, n int) uint32 { return boardBit | uint32(n-1)<<placeBits | uint32(place) }

func unpackBoard(immediate uint32) (place, n int) {
	return int(immediate & (1<<placeBits - 1)), int(immediate>>placeBits&(1<<moreBits-1)) + 1
}

func packTell(messages, lines uint64) uint32 {
	return tellBit | uint32(messages)<<tellLineBits | uint32(lines)
}

func unpackTell(immediate uint32) (messages, lines uint64) {
	return uint64(immediate>>tellLineBits) & tellMessages, uint64(immediate) & tellLines
}
