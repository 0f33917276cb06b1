package zmq

import (
	"syscall"
	"time"
)

// fillBothWays does nothing: there is no congestion control to choose here.
func fillBothWays(string, string, syscall.RawConn) error { return nil }

// goFar does nothing, either.
func goFar(int, time.Duration) {}

// roundTrip is not known.
func roundTrip(int) time.Duration { return 0 }
