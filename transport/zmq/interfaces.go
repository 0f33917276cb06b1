package zmq

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/tutti-ml/tutti/transport"
)

// local is an address of this host.
type local struct {
	name string // of its interface
	net  netip.Prefix
}

func (l local) String() string { return fmt.Sprintf("%s (%s)", l.name, l.net) }

// locals lists the addresses of the interfaces that are up, but not those that need a zone to be
// reached (link-local IPv6): the other host can't know its zone.
func locals() ([]local, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var all []local
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue // of a kind that TCP does not use
			}
			p = netip.PrefixFrom(p.Addr().Unmap().WithZone(""), p.Bits())
			if p.IsValid() && !(p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()) {
				all = append(all, local{name: i.Name, net: p})
			}
		}
	}
	return all, nil
}

// inner are the beginnings of the names of interfaces that, as a rule, lead no further than this
// host.
var inner = []string{
	"docker", "br-", "virbr", "veth", "cni", "flannel", "cali", "lxcbr", "lxdbr", "podman", "vmnet",
}

func (l local) loopback() bool { return l.net.Addr().IsLoopback() }

func (l local) inner() bool {
	return slices.ContainsFunc(inner, func(s string) bool { return strings.HasPrefix(l.name, s) })
}

// allowed returns those of all that the filter allows.
func allowed(f transport.Filter, all []local) (some []local) {
	for _, l := range all {
		if f.Allows(l.net.Addr(), l.name) {
			some = append(some, l)
		}
	}
	return some
}

// choose returns those of all that a peer is offered: what the filter allows, without loopback and
// interfaces that lead nowhere as long as there are others and the filter names none of them.
func choose(f transport.Filter, all []local) ([]local, error) {
	allowed := allowed(f, all)
	if len(allowed) == 0 {
		return nil, fmt.Errorf("the interface filter %q leaves nothing of %v", f, all)
	}
	if f.Chooses() {
		return allowed, nil
	}
	for _, class := range []func(local) bool{
		func(l local) bool { return !l.loopback() && !l.inner() },
		func(l local) bool { return !l.loopback() },
	} {
		if some := slices.DeleteFunc(slices.Clone(allowed),
			func(l local) bool { return !class(l) }); len(some) > 0 {
			return some, nil
		}
	}
	return allowed, nil
}
