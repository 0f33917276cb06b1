package zmq

// fillBothWays does nothing: there is no congestion control to choose here.
func fillBothWays(uintptr) {}
