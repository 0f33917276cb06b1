//go:build ibverbs && cgo && linux

package ibverbs

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"

	"github.com/tutti-ml/tutti/transport"
)

func joinErrors(errs []error) error { return errors.Join(errs...) }

// allows tells whether a port may be used by way of one of its GIDs. Beside those of network
// interfaces a filter may have the names of devices and of their ports: "mlx5_0", "mlx5_0:1".
func allows(f transport.Filter, p *port, g gid) bool {
	return f.Allows(g.address(), p.device, fmt.Sprint(p.device, ":", p.number), g.of)
}

// openDevice opens the first port that is up and that the filter allows, for a job of so many
// ranks.
func openDevice(f transport.Filter, ranks int) (*device, error) {
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
	if err := found.open(ranks); err != nil {
		return nil, errors.Join(err, found.close())
	}
	return found, nil
}

var errOpen = errors.New("it can't be opened")

// choosePort returns the first port that can be used, and why those before it can't.
func choosePort(ports []port, f transport.Filter) (*port, gid, []error) {
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
		g, err := chooseGID(p.gids, p.layer, func(g gid) bool { return allows(f, p, g) })
		if err != nil {
			if !f.Empty() {
				err = fmt.Errorf("%w that the interface filter %q allows", err, f)
			}
			why(err)
			continue
		}
		return p, g, left
	}
	return nil, gid{}, left
}
