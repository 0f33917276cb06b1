//go:build ibverbs && cgo && linux

package ibverbs

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func joinErrors(errs []error) error { return errors.Join(errs...) }

// filter is what Config.Interface says: names of devices ("mlx5_0", "mlx5_0:1") or of network
// interfaces, networks or addresses.
type filter struct {
	text    string
	exclude bool
	names   []string
	nets    []netip.Prefix
}

func parseFilter(text string) (filter, error) {
	f := filter{text: text}
	items := strings.TrimSpace(text)
	if items, f.exclude = strings.CutPrefix(items, "^"); items == "" {
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

// allows tells whether a port may be used by way of one of its GIDs.
func (f filter) allows(p *port, g gid) bool {
	if f.empty() {
		return true
	}
	named := slices.ContainsFunc(f.names, func(s string) bool {
		return s == p.device || s == fmt.Sprint(p.device, ":", p.number) || s == g.of
	}) || slices.ContainsFunc(f.nets, func(n netip.Prefix) bool { return n.Contains(g.address()) })
	return named != f.exclude
}

// openDevice opens the first port that is up and that the filter allows.
func openDevice(f filter) (*device, error) {
	var found *device
	var left []error
	err := eachDevice(func(name string, c *C.struct_ibv_context) (bool, error) {
		if c == nil {
			left = append(left, &DeviceError{Device: name, Op: "ibv_open_device", Err: errOpen})
			return false, nil
		}
		ports, err := portsOf(name, c)
		if err != nil {
			left = append(left, err)
			return false, nil
		}
		p, g, why := choosePort(ports, f)
		left = append(left, why...)
		if p == nil {
			return false, nil
		}
		found = &device{port: *p, gid: g, context: c}
		return true, nil
	})
	switch {
	case err != nil:
		return nil, err
	case found == nil && len(left) == 0:
		return nil, ErrNoDevice
	case found == nil:
		return nil, fmt.Errorf("%w: %w", ErrNoPort, errors.Join(left...))
	}
	if err := found.open(); err != nil {
		return nil, errors.Join(err, found.close())
	}
	return found, nil
}

var errOpen = errors.New("it can't be opened")

// choosePort returns the first port that can be used, and why those before it can't.
func choosePort(ports []port, f filter) (*port, gid, []error) {
	var left []error
	for i := range ports {
		p := &ports[i]
		why := func(err error) {
			left = append(left, &DeviceError{Device: p.device, Port: p.number, Op: "choose it", Err: err})
		}
		if p.state != stateActive {
			why(fmt.Errorf("the port is %s", stateName(p.state)))
			continue
		}
		g, err := chooseGID(p.gids, p.layer, func(g gid) bool { return f.allows(p, g) })
		if err != nil {
			if !f.empty() {
				err = fmt.Errorf("%w that the interface filter %q allows", err, f.text)
			}
			why(err)
			continue
		}
		return p, g, left
	}
	return nil, gid{}, left
}
