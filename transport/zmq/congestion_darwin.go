package zmq

import "net"

// insideHost is false: there is no congestion control to choose here.
func insideHost(net.Conn) bool { return false }

func uncongested(uintptr) {}
