package zmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// The addresses of an endpoint as peers get them:
//
//	0  version (1)
//	1  host's id, network namespace, Unix socket: each a length (1) and bytes
//	   number of TCP addresses (1), port (2), big-endian
//	   for each TCP address: length of the network's prefix in bits (1), 4 or 16 (1), the bytes
const (
	addressVersion = 1
	// maxAddressBytes bounds the encoding.
	maxAddressBytes = 4 << 10
	// maxAddresses bounds the TCP addresses of one endpoint.
	maxAddresses = 64
)

// addresses is where an endpoint can be reached.
type addresses struct {
	host string // HostID
	// space is the network namespace: the Unix socket, on Linux, and loopback are reached in it.
	space string
	unix  string // the name of the Unix socket, "" without
	port  uint16 // of TCP, 0 without
	tcp   []netip.Prefix
}

var errAddresses = errors.New("not the addresses of an endpoint of this driver")

func (a *addresses) encode() ([]byte, error) {
	if len(a.tcp) > maxAddresses {
		return nil, fmt.Errorf("%d TCP addresses, and at most %d are possible", len(a.tcp), maxAddresses)
	}
	b := []byte{addressVersion}
	for _, s := range []string{a.host, a.space, a.unix} {
		if len(s) > 255 {
			return nil, fmt.Errorf("a name of %d bytes, and at most 255 are possible", len(s))
		}
		b = append(append(b, byte(len(s))), s...)
	}
	b = append(b, byte(len(a.tcp)))
	b = binary.BigEndian.AppendUint16(b, a.port)
	for _, p := range a.tcp {
		ip := p.Addr().WithZone("").AsSlice()
		b = append(append(b, byte(p.Bits()), byte(len(ip))), ip...)
	}
	return b, nil
}

// decodeAddresses is the inverse of encode; it takes nothing but what encode makes.
func decodeAddresses(b []byte) (*addresses, error) {
	if len(b) > maxAddressBytes {
		return nil, fmt.Errorf("%w: %d bytes", errAddresses, len(b))
	}
	if len(b) == 0 || b[0] != addressVersion {
		return nil, fmt.Errorf("%w: they begin with %q", errAddresses, b[:min(len(b), 1)])
	}
	a := &addresses{}
	c := cutter{b: b[1:]}
	a.host, a.space, a.unix = string(c.counted()), string(c.counted()), string(c.counted())
	count := int(c.number(1))
	a.port = uint16(c.number(2))
	if count > maxAddresses {
		return nil, fmt.Errorf("%w: %d TCP addresses", errAddresses, count)
	}
	for range count {
		bits := int(c.number(1))
		ip, ok := netip.AddrFromSlice(c.counted())
		p := netip.PrefixFrom(ip, bits)
		if !ok || !p.IsValid() {
			return nil, fmt.Errorf("%w: a TCP address that is none", errAddresses)
		}
		a.tcp = append(a.tcp, p)
	}
	if c.short || len(c.b) > 0 {
		return nil, fmt.Errorf("%w: cut, or with %d bytes too many", errAddresses, len(c.b))
	}
	return a, nil
}

// cutter takes fields off the front of b; when b is too short, it says so and gives zeros.
type cutter struct {
	b     []byte
	short bool
}

func (c *cutter) take(n int) []byte {
	if n > len(c.b) {
		c.b, c.short = nil, true
		return make([]byte, n) // n is at most 255
	}
	field := c.b[:n]
	c.b = c.b[n:]
	return field
}

func (c *cutter) number(bytes int) (n uint) {
	for _, x := range c.take(bytes) {
		n = n<<8 | uint(x)
	}
	return n
}

func (c *cutter) counted() []byte { return c.take(int(c.number(1))) }
