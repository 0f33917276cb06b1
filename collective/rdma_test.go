//go:build ibverbs && cgo && linux

package collective

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// Built with the tag ibverbs, for a machine with RDMA devices, the tests meet on these alone. Where
// there are two, on the two ends of a wire, ranks with processes of their own take them in turn.
func init() {
	grounds = []ground{{"ibverbs", func() transport.Driver { return ibverbs.New() }}}
	processDrivers = []string{"ibverbs"}
	parallel = "1" // the machine is emulated: what waits there keeps others from working
	programs["wire"] = wireProgram
	rank, err := strconv.Atoi(os.Getenv("TUTTI_RANK"))
	if err == nil && os.Getenv("TUTTI_RDMA_WIRE") == "veth" {
		err = os.Setenv("TUTTI_INTERFACE", fmt.Sprint("rxe", rank%2))
		if err != nil {
			panic(err)
		}
	}
}

// wireProgram makes calls until one fails.
func wireProgram(ctx context.Context, _ string) error {
	c, err := connect(ctx, "")
	if err != nil {
		return err
	}
	r := &faultRank{c: c, buf: Alloc[float32](c, 100_000)}
	for i := 0; ; i++ {
		if i == 3 {
			if err := report("working"); err != nil {
				return err
			}
		}
		if err := r.reduce(ctx); err != nil {
			return errors.Join(r.tellOutcome(ctx, err), c.Close())
		}
	}
}

// TestWireGoesDown takes the wire between the devices of even and odd ranks away in the middle of
// calls: every rank gets an error that says so, and none hangs.
func TestWireGoesDown(t *testing.T) {
	if os.Getenv("TUTTI_RDMA_WIRE") != "veth" {
		t.Skip("this machine's devices are not on the two ends of a wire")
	}
	set := func(state string) {
		out, err := exec.Command("/bin/ip", "link", "set", "v0", state).CombinedOutput()
		if err != nil {
			t.Fatalf("ip link set v0 %s: %v: %s", state, err, out)
		}
	}
	all := startRanks(t, 4, "ibverbs", "wire", "")
	for _, p := range all {
		if s := read[string](p); s != "working" {
			t.Fatalf("rank %d says %q", p.rank, s)
		}
	}
	set("down")
	defer set("up")
	for _, p := range all {
		o := read[outcome](p)
		t.Logf("rank %d: %s", p.rank, o.Text)
		if o.Kind != "failed" || !strings.Contains(o.Text, "lost it in") {
			t.Errorf("rank %d says %s: %s", p.rank, o.Kind, o.Text)
		}
		sameAgain(t, o)
		p.mustEnd()
	}
}
