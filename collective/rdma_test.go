//go:build ibverbs && cgo && linux

package collective

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// Built with the tag ibverbs, for a machine with RDMA devices, the tests meet on these alone. Where
// there are two, on the two ends of a wire, ranks with processes of their own take them in turn.
func init() {
	grounds = []ground{{"ibverbs", func() transport.Driver { return ibverbs.New() }}}
	processDrivers = []string{"ibverbs"}
	parallel = "1" // the machine is emulated: what waits there keeps others from working
	programs["wire"], programs["types"] = wireProgram, typesProgram
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

// onWire returns what runs a command that acts on the wire between the devices of even and of odd
// ranks.
func onWire(t *testing.T) (do func(command string, args ...string)) {
	t.Helper()
	if os.Getenv("TUTTI_RDMA_WIRE") != "veth" {
		t.Skip("this machine's devices are not on the two ends of a wire")
	}
	return func(command string, args ...string) {
		if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
			t.Errorf("%s %v: %v: %s", command, args, err, out)
		}
	}
}

// TestStoppedRankOfALossyWire: a rank stops in the middle of a call, while the wire loses one packet
// of a hundred, each way.
func TestStoppedRankOfALossyWire(t *testing.T) {
	do := onWire(t)
	for _, wire := range []string{"v0", "v1"} {
		do("/sbin/tc", "qdisc", "replace", "dev", wire, "root", "netem",
			"loss", "1%", "limit", "100000")
		defer do("/sbin/tc", "qdisc", "del", "dev", wire, "root")
	}
	for _, size := range []int{2, 4} {
		t.Run(fmt.Sprint(size, " ranks"), func(t *testing.T) {
			// A packet that is lost again is sent again after a second, and that up to six times.
			stopRank(t, "ibverbs", size, 100_000, 15*time.Second)
		})
	}
}

// TestWireGoesDown takes the wire between the devices of even and odd ranks away in the middle of
// calls: every rank gets an error that says so, and none hangs.
func TestWireGoesDown(t *testing.T) {
	do := onWire(t)
	all := startRanks(t, 4, "ibverbs", "wire", "")
	for _, p := range all {
		if s := read[string](p); s != "working" {
			t.Fatalf("rank %d says %q", p.rank, s)
		}
	}
	do("/bin/ip", "link", "set", "v0", "down")
	defer do("/bin/ip", "link", "set", "v0", "up")
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

// TestEveryTypeOfProcesses makes calls of every collective with every type between 2 to 8
// processes: small ones, and large ones in memory of Alloc and in other memory.
func TestEveryTypeOfProcesses(t *testing.T) {
	sizes := []int{2, 3, 4, 5, 6, 7, 8}
	if testing.Short() {
		sizes = []int{3}
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size, " ranks"), func(t *testing.T) {
			for part := range typesParts {
				want := 0
				for range everyType(size, part) {
					want++
				}
				done := reports[int](t, runRanks(t, size, "ibverbs", "types", strconv.Itoa(part)))
				if len(done) != size {
					t.Fatalf("%d ranks have reported, want %d", len(done), size)
				}
				for _, n := range done {
					if n != want {
						t.Errorf("a rank made %d calls, want %d", n, want)
					}
				}
				t.Logf("%d calls", want)
			}
		})
	}
}

// typesParts is how many jobs make the calls of TestEveryTypeOfProcesses between them: under the
// race detector one would take longer than a test may hang.
const typesParts = 4

// typesProgram makes the calls of a rank.
func typesProgram(ctx context.Context, argument string) error {
	part, err := strconv.Atoi(argument)
	if err != nil {
		return err
	}
	c, err := connect(ctx, "")
	if err != nil {
		return err
	}
	ses, calls := &session{ctx: ctx, c: c}, 0
	for v := range everyType(c.Size(), part) {
		ses.special = calls%2 == 0
		if err := kinds[v.typ].run(ses, v); err != nil {
			return fmt.Errorf("%v: %w", v, err)
		}
		calls++
	}
	return errors.Join(report(calls), c.Close())
}

// everyType is a part of the collectives, each with every type, the operations and all else by
// turns.
func everyType(size, part int) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		r := rand.New(rand.NewPCG(uint64(size), uint64(part)))
		for which, coll := range collectives() {
			if which%typesParts != part {
				continue
			}
			for i, typ := range tensor.Types() {
				v := chance(r, variant{coll: coll, typ: typ, size: size, n: 1000})
				if ops := kinds[typ].ops; coll.Reduces() {
					v.op = ops[(i+size)%len(ops)]
				}
				if !yield(v) {
					return
				}
				if (i+size)%3 != 0 {
					continue
				}
				v.n = large(coll, typ, size) / 4
				for range 2 { // one of them with memory of Alloc
					if !yield(v) {
						return
					}
				}
			}
		}
	}
}
