package drivers_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport/drivers"
)

func TestEveryNameFindsItsDriver(t *testing.T) {
	names := drivers.Names()
	if !slices.Contains(names, drivers.Default) {
		t.Errorf("the default %q is not among %v", drivers.Default, names)
	}
	for _, name := range names {
		d, err := drivers.Lookup(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d.Name() != name {
			t.Errorf("%s finds the driver %s", name, d.Name())
		}
	}
}

func TestUnknownNames(t *testing.T) {
	for _, name := range []string{"", "inproc", "ZMQ", "zmq:", "zmq ", "tcp"} {
		_, err := drivers.Lookup(name)
		var e *drivers.UnknownError
		if !errors.As(err, &e) || e.Name != name {
			t.Errorf("%q: %v", name, err)
			continue
		}
		for _, known := range drivers.Names() {
			if !strings.Contains(err.Error(), known) {
				t.Errorf("%q does not list %s", err, known)
			}
		}
	}
}

func ExampleLookup() {
	d, err := drivers.Lookup("zmq:tcp")
	fmt.Println(d.Name(), err)
	_, err = drivers.Lookup("carrier-pigeon")
	fmt.Println(err)
	// Output:
	// zmq:tcp <nil>
	// no transport driver is called "carrier-pigeon"; there are auto, shm, ibverbs, zmq, zmq:tcp, zmq:ipc
}

func ExampleNames() {
	fmt.Println(drivers.Names())
	// Output: [auto shm ibverbs zmq zmq:tcp zmq:ipc]
}
