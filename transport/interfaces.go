package transport

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Filter is what a Config's Interface says. The zero Filter allows everything.
type Filter struct {
	text    string
	exclude bool
	names   []string
	nets    []netip.Prefix
}

// ParseFilter reads a filter: names, networks (CIDR) or addresses, separated by commas, with one ^
// before all of them to exclude what they name. An empty text allows everything.
func ParseFilter(text string) (Filter, error) {
	f := Filter{text: text}
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

// String returns the text.
func (f Filter) String() string { return f.text }

// Empty tells whether the filter allows everything.
func (f Filter) Empty() bool { return len(f.names)+len(f.nets) == 0 }

// Chooses tells whether the filter names what is allowed, and not what is left out.
func (f Filter) Chooses() bool { return !f.Empty() && !f.exclude }

// Allows tells whether an address of this host may be used, given the names of what has it.
func (f Filter) Allows(at netip.Addr, names ...string) bool {
	if f.Empty() {
		return true
	}
	named := slices.ContainsFunc(f.names, func(s string) bool { return slices.Contains(names, s) }) ||
		slices.ContainsFunc(f.nets, func(n netip.Prefix) bool { return n.Contains(at) })
	return named != f.exclude
}

// ListenAddress reads Listen: the address, not valid where there is none, and the port, "0" for one of
// the system's choice. Without a Secret the address is one of loopback, and replaced tells that
// another one was asked for.
func (c *Config) ListenAddress() (ip netip.Addr, port string, replaced bool, err error) {
	host, port := "", "0"
	if c.Listen != "" {
		if host, port, err = net.SplitHostPort(c.Listen); err != nil {
			return netip.Addr{}, "", false, err
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return netip.Addr{}, "", false, fmt.Errorf("port %q is no number of 16 bits", port)
		}
	}
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil {
			return netip.Addr{}, "", false, fmt.Errorf("listen at %q: give an address of this host, not a name", host)
		}
	}
	ip = ip.Unmap()
	if len(c.Secret) == 0 && !ip.IsLoopback() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), port, host != "", nil
	}
	return ip, port, false, nil
}
