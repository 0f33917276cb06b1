package zmq

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
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

// filter is what Config.Interface says.
type filter struct {
	text    string
	exclude bool
	names   []string
	nets    []netip.Prefix
}

func parseFilter(text string) (filter, error) {
	f := filter{text: text}
	items := strings.TrimSpace(text)
	items, f.exclude = strings.CutPrefix(items, "^")
	if items == "" {
		if f.exclude {
			return f, fmt.Errorf("interface filter %q excludes nothing", text)
		}
		return f, nil
	}
	for item := range strings.SplitSeq(items, ",") {
		item = strings.TrimSpace(item)
		if item == "" || strings.HasPrefix(item, "^") {
			return f, fmt.Errorf("interface filter %q: %q is no name, network or address "+
				"(a ^ stands once, before all of them)", text, item)
		}
		if p, err := netip.ParsePrefix(item); err == nil {
			f.nets = append(f.nets, p.Masked())
		} else if ip, err := netip.ParseAddr(item); err == nil {
			ip = ip.Unmap()
			f.nets = append(f.nets, netip.PrefixFrom(ip, ip.BitLen()))
		} else {
			f.names = append(f.names, item)
		}
	}
	return f, nil
}

func (f filter) empty() bool { return len(f.names)+len(f.nets) == 0 }

func (f filter) allows(l local) bool {
	if f.empty() {
		return true
	}
	named := slices.Contains(f.names, l.name) || slices.ContainsFunc(f.nets,
		func(p netip.Prefix) bool { return p.Contains(l.net.Addr()) })
	return named != f.exclude
}

// choose returns those of all that a peer is offered: what the filter allows, without loopback and
// interfaces that lead nowhere as long as there are others and the filter names none of them.
func (f filter) choose(all []local) ([]local, error) {
	var allowed []local
	for _, l := range all {
		if f.allows(l) {
			allowed = append(allowed, l)
		}
	}
	if len(allowed) == 0 {
		return nil, fmt.Errorf("the interface filter %q leaves nothing of %v", f.text, all)
	}
	if !f.empty() && !f.exclude {
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
