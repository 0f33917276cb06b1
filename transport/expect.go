package transport

// Expecter is a link that can have the other end write payloads to where they are to be, so that
// Read need not copy them. It is beside the contract; a link need not be one.
type Expecter interface {
	Link
	// Expect tells, ahead of time, where the payload of a frame is to be read to: the frame that
	// comes with the header h but for Credit, Checksum and the flag Checksummed. No other frame of
	// the link may ever come with that header. From now on dst is the link's, whose other end may
	// write to it at any time, until the frame's payload has been taken, or Reclaim or Close is
	// called. False means that the link makes no use of it, and that dst is the caller's still.
	//
	// The frame comes in its order and is taken as any other is: by Read to dst, which finds the
	// bytes there and copies none, by Read to other memory, or by Peek. It may come by the usual way.
	Expect(h *Header, dst []byte) bool
}
