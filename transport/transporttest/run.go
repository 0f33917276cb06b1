package transporttest

import (
	"net"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

// Open makes endpoints of ranks 0 to ranks-1 of one job, which can reach each other, and has them
// closed by t.Cleanup. Each call makes a job of its own.
type Open func(t *testing.T, ranks int) []transport.Endpoint

// Options is what the suite has to know of a driver.
type Options struct {
	// MaxPayload is the limit with which Open configures the endpoints; 0 is
	// transport.DefaultMaxPayload.
	MaxPayload int
	// Allocs is how many allocations a frame may cost, there and back, in the steady state; less
	// than 0 leaves the question out.
	Allocs float64
	// Slow is a wire that takes seconds for a mebibyte, as one does that loses packets: tests that
	// move very much move less.
	Slow bool
	// Raw, for drivers that listen on a socket, connects to it as a stranger would. The suite
	// closes the connection.
	Raw func(t *testing.T, endpoint transport.Endpoint) net.Conn
	// Greeting, for drivers that have Raw, is a good beginning of what a dialler says, of which
	// the suite sends parts and distorts bytes.
	Greeting []byte
}

// Run runs the suite as subtests of t. It fails where the driver does not keep the contract.
func Run(t *testing.T, open Open, o Options) {
	if o.MaxPayload == 0 {
		o.MaxPayload = transport.DefaultMaxPayload
	}
	s := &suite{open: open, options: o}
	for _, group := range []struct {
		name  string
		tests []subtest
	}{
		{"Endpoint", endpointTests},
		{"Wait", waitTests},
		{"Frames", frameTests},
		{"Lend", lendTests},
		{"Inline", inlineTests},
		{"Receive", receiveTests},
		{"Expect", expectTests},
		{"Break", breakTests},
		{"Traffic", trafficTests},
		{"Cost", costTests},
		{"Hostile", hostileTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) { test.run(s, t) })
			}
		})
	}
}

type suite struct {
	open    Open
	options Options
}

// much is n, or a sixteenth of it over a slow wire.
func (s *suite) much(n int) int {
	if s.options.Slow {
		return (n + 15) / 16
	}
	return n
}

type subtest struct {
	name string
	run  func(*suite, *testing.T)
}
