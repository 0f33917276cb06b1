package ibverbs

// The sizes of a link, in bytes but for the depths. Rings are powers of two.
const (
	lineBytes = 64
	// smallBytes is up to what payload a frame is one message and lies in the ring in one stretch, as
	// every control frame does.
	smallBytes = 4 << 10
	// overhang is what a ring has behind its end, so that such a frame can begin at its last line.
	overhang = lineBytes + smallBytes

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

// owedMax is how many receives are posted again at a time.
const owedMax = 8

// The work queues of a link whose other end takes so many messages: as many may be under way, and
// besides them those about room, and the goodbye.
func sendDepth(messages int) int    { return messages/2 + 2*tells }
func receiveDepth(messages int) int { return messages + 2*tells }

// aligned is the next multiple of a line: each frame begins at one.
func aligned(at uint64) uint64 { return (at + lineBytes - 1) &^ (lineBytes - 1) }

// What an immediate says. A message with bytes has how far it moves the end of what has come, in
// bytes. One without has tellBit, and then how many messages and lines of the ring are taken; or it
// is goodbye.
const (
	tellBit      = 1 << 31
	goodbye      = 1<<32 - 1
	tellLineBits = 16
	tellLines    = 1<<tellLineBits - 1
	tellMessages = 1<<(31-tellLineBits) - 1
)

func packTell(messages, lines uint64) uint32 {
	return tellBit | uint32(messages)<<tellLineBits | uint32(lines)
}

func unpackTell(immediate uint32) (messages, lines uint64) {
	return uint64(immediate>>tellLineBits) & tellMessages, uint64(immediate) & tellLines
}
