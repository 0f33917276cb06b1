package transport

// Shower is a link whose payloads all come in memory that Peek shows, however large they are, so that Read is no more
// than a copy of that: who wants them copied in another way does so as fast. It is beside the contract; a link need
// not be one.
type Shower interface {
	Link
	Shows()
}
