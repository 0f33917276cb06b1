package transport

// Inliner is a link that has ways of its own for frames of few bytes that can go, or be taken, at once. It is
// beside the contract; a link need not be one.
//
// Post and Pick take no lock. They are for the goroutine that has the turn, as the link's other methods are,
// but not while another one is in Wait, or closes the link or the endpoint.
type Inliner interface {
	Link
	// Inline is up to how many bytes of payload Send copies while the caller waits. Sent counts such a
	// frame at once if it has counted those before.
	Inline() int
	// Post is Send with one piece. False means that it has not taken the frame: Send may, or tells why not. It
	// takes those of at most Inline bytes when it knows of room. The caller vouches for what Send checks: the
	// header's kind, and its length, which is that of the payload.
	Post(h *Header, payload []byte) bool
	// Pick takes the next frame, if Post could take it and it is the one that is wanted: its header differs from
	// want in Credit and Checksum at most. It returns the payload, which is as Peek's, and the frame's credit.
	// Otherwise it leaves the frame, if there is one, to Next.
	Pick(want *Header) (payload []byte, credit uint32, ok bool)
}
