//go:build linux || darwin

package zmq

import (
	"net"

	"github.com/tutti-ml/tutti/transport"
)

// ListensAt returns where a stranger can connect to the endpoint.
func ListensAt(e transport.Endpoint) (network, address string) {
	l := e.(*endpoint).listeners[0].Addr()
	if tcp, ok := l.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		l = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: tcp.Port}
	}
	return l.Network(), l.String()
}

// Greeting is what a dialler sends first: the ZMTP greeting and the READY.
func Greeting() []byte {
	b := make([]byte, greetingBytes)
	b[0], b[9], b[10] = 0xff, 0x7f, 3
	copy(b[12:], "NULL")
	return appendReady(b, "PAIR")
}

// UnixSendBytes sets the send buffer of Unix sockets; 0 leaves it to the system.
func UnixSendBytes(n int) Option { return func(d *driver) { d.unixSendBytes = n } }
