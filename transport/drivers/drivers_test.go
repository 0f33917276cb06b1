package drivers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport/drivers"
)

func TestLookup(t *testing.T) {
	for _, name := range drivers.Names() {
		d, err := drivers.Lookup(name)
		if err != nil || d.Name() != name {
			t.Errorf("Lookup(%q) = %v, %v", name, d, err)
		}
	}
	if d, err := drivers.Lookup(""); err != nil || d.Name() != drivers.Names()[0] {
		t.Errorf("the default is %v, %v; want %s", d, err, drivers.Names()[0])
	}
	_, err := drivers.Lookup("smoke signals")
	for _, name := range drivers.Names() {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not list %q", err, name)
		}
	}
}

func ExampleLookup() {
	d, err := drivers.Lookup("zmq:tcp")
	fmt.Println(d.Name(), err)
	// Output: zmq:tcp <nil>
}

func ExampleNames() {
	fmt.Println(drivers.Names())
	// Output: [zmq zmq:tcp zmq:ipc]
}
