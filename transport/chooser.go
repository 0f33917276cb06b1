package transport

// Chooser is an endpoint that reaches different peers by different drivers. It is beside the
// contract; an endpoint of one driver is none.
type Chooser interface {
	// Choose tells which driver a Dial with these addresses tries first, and why it is that one. It
	// opens nothing. Any goroutine may call it.
	Choose(addresses []byte) (driver, why string)
}
