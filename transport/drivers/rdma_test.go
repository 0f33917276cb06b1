//go:build ibverbs && cgo && linux

package drivers

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// TestHostsOnAnRDMANetwork: ranks of two hosts whose devices are on one network get a link by RDMA,
// and where the only device is on the loopback interface they would not.
func TestHostsOnAnRDMANetwork(t *testing.T) {
	wire := os.Getenv("TUTTI_RDMA_WIRE")
	want := map[string]string{"veth": "ibverbs", "lo": "zmq"}[wire]
	if want == "" {
		t.Fatal("this test is for a machine with RDMA devices: make test-ibverbs")
	}
	var eps [2]transport.Endpoint
	for i := range eps {
		c := transport.Config{
			Rank: i, Size: 2, Job: t.Name(), Secret: []byte("a secret of the job"),
			HostID: fmt.Sprint("host ", i),
		}
		if wire == "veth" {
			c.Interface = fmt.Sprint("v", i)
		}
		eps[i] = start(t, newAuto(), c)
	}
	driver, why := eps[0].(transport.Chooser).Choose(eps[1].Addresses())
	t.Logf("by %s (%s)", driver, why)
	if driver != want {
		t.Errorf("it chooses %s, want %s", driver, want)
	}
	if wire == "lo" { // and ZeroMQ would not find another host on the loopback interface either
		return
	}
	l, err := eps[0].Dial(t.Context(), 1, eps[1].Addresses())
	if err != nil {
		t.Fatal(err)
	}
	for eps[1].Accept() == nil {
		eps[1].Wait(time.Time{})
	}
	if !strings.HasPrefix(l.String(), want) {
		t.Errorf("the link is %v, want %s", l, want)
	}
}
