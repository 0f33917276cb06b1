//go:build linux

package shm

import (
	"errors"
	"fmt"
	"strings"
)

// The addresses of an endpoint as peers get them: version (1), then the host's id, the network
// namespace and the name of the socket, each a length (1) and bytes.
const addressVersion = 1

// address is where an endpoint can be reached.
type address struct {
	host  string // HostID
	space string // the network namespace, in which the names of sockets are known
	name  string // of the socket
}

var errAddress = errors.New("not the address of an endpoint of this driver")

func (a *address) encode() ([]byte, error) {
	b := []byte{addressVersion}
	for _, s := range []string{a.host, a.space, a.name} {
		if len(s) > 255 {
			return nil, fmt.Errorf("a name of %d bytes, and at most 255 are possible", len(s))
		}
		b = append(append(b, byte(len(s))), s...)
	}
	return b, nil
}

// decodeAddress is the inverse of encode; it takes nothing but what encode makes.
func decodeAddress(b []byte) (a address, err error) {
	if len(b) == 0 || b[0] != addressVersion || len(b) > 1+3*256 {
		return a, fmt.Errorf("%w: %d bytes that begin with %q", errAddress, len(b), b[:min(len(b), 1)])
	}
	b = b[1:]
	for _, field := range []*string{&a.host, &a.space, &a.name} {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return a, fmt.Errorf("%w: it is cut", errAddress)
		}
		n := 1 + int(b[0])
		*field, b = string(b[1:n]), b[n:]
	}
	if len(b) > 0 || !strings.HasPrefix(a.name, namePrefix) {
		return a, fmt.Errorf("%w: it names the socket %q, and has %d bytes more", errAddress, a.name,
			len(b))
	}
	return a, nil
}

// namePrefix begins the names of the sockets. The @ stands for the abstract names of Linux: these
// go with the process, whatever ends it.
const namePrefix = "@tutti-shm-"
