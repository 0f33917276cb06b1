package zmq

// EchoProcess is for Linux's benchmarks.
func EchoProcess() bool { return false }
