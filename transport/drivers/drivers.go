package drivers

import (
	"fmt"
	"strings"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
	"github.com/tutti-ml/tutti/transport/shm"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// Default is the name of the driver that is used when none is chosen.
const Default = "auto"

// makers is in the order in which Names lists it.
var makers = []struct {
	name string
	make func() transport.Driver
}{
	{"auto", newAuto},
	{"shm", shm.New},
	{"ibverbs", func() transport.Driver { return ibverbs.New() }},
	{"zmq", func() transport.Driver { return zmq.New(zmq.Auto) }},
	{"zmq:tcp", func() transport.Driver { return zmq.New(zmq.TCP) }},
	{"zmq:ipc", func() transport.Driver { return zmq.New(zmq.IPC) }},
}

// Names lists the names that Lookup knows.
func Names() []string {
	names := make([]string, len(makers))
	for i, m := range makers {
		names[i] = m.name
	}
	return names
}

// UnknownError is a name that no driver has.
type UnknownError struct {
	Name  string
	Known []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("no transport driver is called %q; there are %s", e.Name,
		strings.Join(e.Known, ", "))
}

// Lookup returns a driver by its name. Each call makes a new one. The error is an *UnknownError
// that lists the names there are.
func Lookup(name string) (transport.Driver, error) {
	for _, m := range makers {
		if m.name == name {
			return m.make(), nil
		}
	}
	return nil, &UnknownError{Name: name, Known: Names()}
}
