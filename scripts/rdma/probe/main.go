//go:build ibverbs && cgo

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
)

func main() {
	active, err := list()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	case active == 0:
		fmt.Fprintln(os.Stderr, "probe: no RDMA device has an active port")
		os.Exit(1)
	}
}

// list prints all devices and returns how many of their ports are active.
func list() (active int, err error) {
	devices, err := openDevices()
	if err != nil {
		return 0, err
	}
	if len(devices) == 0 {
		return 0, errors.New("libibverbs finds no device: is there a card, and is its driver loaded " +
			"(lsmod, rdma link), with its user-space part (Debian: ibverbs-providers)?")
	}
	for _, d := range devices {
		fmt.Printf("%s: %d ports\n", d.name, len(d.ports))
		for _, p := range d.ports {
			fmt.Printf("  port %d: %s, %s, MTU %d, LID %d, messages to %d bytes\n",
				p.number, p.state, p.linkLayer, p.mtu, p.lid, p.maxMessage)
			for _, g := range p.gids {
				fmt.Printf("    GID %d: %v, %s\n", g.index, gidText(g.raw), g.kind)
			}
			if p.active {
				active++
			}
		}
	}
	return active, nil
}

// gidText shows a GID as the address it is: an IPv4 one is mapped into IPv6.
func gidText(raw [16]byte) string {
	return netip.AddrFrom16(raw).Unmap().String()
}
