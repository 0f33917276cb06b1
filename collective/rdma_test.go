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

// TestEveryTypeOfProcesses makes calls of every collective with every type between 2 to 8
// processes: small ones, and large ones in memory of Alloc and in other memory.
func TestEveryTypeOfProcesses(t *testing.T) {
	sizes := []int{2, 3, 4, 5, 6, 7, 8}
	if testing.Short() {
		sizes = []int{3}
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size, " ranks"), func(t *testing.T) {
			want := 0
			for range everyType(size) {
				want++
			}
			done := reports[int](t, runRanks(t, size, "ibverbs", "types", ""))
			if len(done) != size {
				t.Fatalf("%d ranks have reported, want %d", len(done), size)
			}
			for _, n := range done {
				if n != want {
					t.Errorf("a rank made %d calls, want %d", n, want)
				}
			}
			t.Logf("%d calls", want)
		})
	}
}

// typesProgram makes the calls of a rank.
func typesProgram(ctx context.Context, _ string) error {
	c, err := connect(ctx, "")
	if err != nil {
		return err
	}
	ses, calls := &session{ctx: ctx, c: c}, 0
	for v := range everyType(c.Size()) {
		ses.special = calls%2 == 0
		if err := kinds[v.typ].run(ses, v); err != nil {
			return fmt.Errorf("%v: %w", v, err)
		}
		calls++
	}
	return errors.Join(report(calls), c.Close())
}

// everyType is every collective with every type, the operations and all else by turns.
func everyType(size int) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		r := rand.New(rand.NewPCG(uint64(size), 3))
		for _, coll := range collectives() {
			for i, typ := range tensor.Types() {
				v := chance(r, variant{coll: coll, typ: typ, size: size, n: 1000})
				if ops := kinds[typ].ops; coll.Reduces() {
					v.op = ops[(i+size)%len(ops)]
				}
				if !yield(v) {
					return
				}
				if v.n = large(coll, typ, size) / 4; (i+size)%3 == 0 && (!yield(v) || !yield(v)) {
					return
				}
			}
		}
	}
}
