package transport

// Inliner is a link whose calls cost so little for payloads of few bytes that what goes with them is worth
// saving. It is beside the contract; a link need not be one.
type Inliner interface {
	Link
	// Inline is up to how many bytes of payload Send copies while the caller waits. Sent counts such a
	// frame at once if it has counted those before.
	Inline() int
	// Hold takes the lock that each method of the link takes for as long as it runs, until Release.
	// Other links of the endpoint may share it. Between the two only methods of the link may be called,
	// and not Close.
	Hold()
	// Release gives back what Hold has taken.
	Release()
}
