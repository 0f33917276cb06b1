package transport

// Inliner is a link whose calls cost so little for payloads of few bytes that what goes with them is worth
// saving. It is beside the contract; a link need not be one.
type Inliner interface {
	Link
	// Inline is up to how many bytes of payload Send copies while the caller waits. Sent counts such a
	// frame at once if it has counted those before.
	Inline() int
	// Hold takes the lock that each method of the link takes for as long as it runs, until Release. It
	// is that of all links of the endpoint that are Inliners. Between the two only methods of links may be
	// called, and Close of none.
	Hold()
	// Release gives back what Hold has taken.
	Release()
}
