package ibverbs

import (
	"fmt"
	"net/netip"
)

// gid is an entry of a port's table of addresses.
type gid struct {
	raw    [16]byte
	index  uint32
	roceV2 bool
	of     string // the network interface it belongs to, "" when there is none
}

// address is the GID as an IP address, as those of RoCE are.
func (g gid) address() netip.Addr { return netip.AddrFrom16(g.raw).Unmap() }

func (g gid) String() string {
	if g.of != "" {
		return fmt.Sprintf("GID %d %s of %s", g.index, g.address(), g.of)
	}
	return fmt.Sprintf("GID %d %s", g.index, g.address())
}

// chooseGID returns the entry by which a port is reached: on Ethernet a RoCE v2 one, which routers
// understand, and of those one that is an IPv4 address of the host, since that is configured by
// hand and goes wherever IP goes. A link-local one comes last. On InfiniBand it is the first.
func chooseGID(all []gid, layer uint8, allows func(gid) bool) (gid, error) {
	var best gid
	rank := 0
	for _, g := range all {
		if !allows(g) || g.raw == [16]byte{} {
			continue
		}
		if r := worth(g, layer); r > rank {
			best, rank = g, r
		}
	}
	if rank == 0 {
		return gid{}, fmt.Errorf("%w: of %v", ErrGID, all)
	}
	return best, nil
}

func worth(g gid, layer uint8) int {
	a := g.address()
	switch {
	case layer == infiniBand:
		return 1
	case !g.roceV2:
		return 0
	case a.Is4():
		return 3
	case !a.IsLinkLocalUnicast():
		return 2
	}
	return 1
}
