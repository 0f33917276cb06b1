package drivers

import (
	"fmt"
	"strings"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// builtIn lists the drivers, the one that suits most first.
func builtIn() []transport.Driver {
	return []transport.Driver{zmq.New(zmq.Auto), zmq.New(zmq.TCP), zmq.New(zmq.IPC)}
}

// Names returns the names that Lookup knows; the first is the default.
func Names() []string {
	var names []string
	for _, d := range builtIn() {
		names = append(names, d.Name())
	}
	return names
}

// Lookup returns the driver of a name, the default one for "". The error lists the names.
func Lookup(name string) (transport.Driver, error) {
	for _, d := range builtIn() {
		if name == "" || d.Name() == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("drivers: no driver %q: there are %s", name, strings.Join(Names(), ", "))
}
