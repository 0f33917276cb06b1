package ibverbs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// The addresses of an endpoint as peers get them: version (1), link layer (1), GID (16), the port
// of the listening socket (2, little-endian), the number of addresses (1), and for each of them its
// length (1) and bytes. The GID is what links will go to; it stands here so that a peer can tell
// whether it has a device on that network.
const (
	addressVersion = 1
	addressFixed   = 21
	maxAddresses   = 16
)

type addresses struct {
	layer uint8
	gid   [16]byte
	port  uint16
	ips   []netip.Addr
}

var errAddress = errors.New("not the address of an endpoint of this driver")

func (a *addresses) encode() []byte {
	b := append([]byte{addressVersion, a.layer}, a.gid[:]...)
	b = binary.LittleEndian.AppendUint16(b, a.port)
	b = append(b, byte(len(a.ips)))
	for _, ip := range a.ips {
		raw := ip.AsSlice()
		b = append(append(b, byte(len(raw))), raw...)
	}
	return b
}

// decodeAddresses is the inverse of encode; it takes nothing but what encode makes.
func decodeAddresses(b []byte) (a addresses, err error) {
	bad := func(what string) (addresses, error) {
		return addresses{}, fmt.Errorf("%w: %d bytes, %s", errAddress, len(b), what)
	}
	if len(b) < addressFixed || b[0] != addressVersion {
		return bad("of another kind")
	}
	a.layer, a.gid = b[1], [16]byte(b[2:18])
	a.port = binary.LittleEndian.Uint16(b[18:])
	n, rest := int(b[20]), b[addressFixed:]
	if a.layer != infiniBand && a.layer != ethernet || n > maxAddresses {
		return bad("with a wrong field")
	}
	for range n {
		if len(rest) == 0 || rest[0] != 4 && rest[0] != 16 || len(rest) < 1+int(rest[0]) {
			return bad("and an address that is none")
		}
		ip, _ := netip.AddrFromSlice(rest[1 : 1+rest[0]])
		a.ips, rest = append(a.ips, ip), rest[1+rest[0]:]
	}
	if len(rest) > 0 || n == 0 {
		return bad("with something missing or too much")
	}
	return a, nil
}
