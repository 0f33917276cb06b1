package collective

import (
	"math"
	"strings"
	"testing"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
)

// TestPredictAssumed: where all links have one latency and one bandwidth and nobody is crowded,
// what is predicted from the programs is what the cost model says.
func TestPredictAssumed(t *testing.T) {
	m := topology.Model{Alpha: 5e-6, Beta: 1e-9, Gamma: 1e-10}
	for coll := schedule.AllReduce; coll <= schedule.Barrier; coll++ {
		for size := 2; size <= 9; size++ {
			p := planner{
				size: size, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{},
				speeds: speeds{fabric: topology.Assumed(m, m)},
			}
			a := p.args(&request{coll: coll, count: 2520 * 64})
			for _, g := range schedule.Algorithms(coll) {
				if g.Applies != nil && g.Applies(a) != nil {
					continue
				}
				cost, x := p.predict(&p.speeds, g, a, width{4, 4}, 1<<16)
				// Blocks that do not divide evenly make a round of a profile a little longer.
				if want := m.Seconds(cost); math.Abs(x.Seconds-want) > 0.01*want {
					t.Errorf("%s %s of %d ranks: %g s, cost says %g", coll, g.Name, size, x.Seconds, want)
				}
			}
		}
	}
}

// inTurns is a host on which a rank that waits for a message waits for a core, too.
func inTurns() topology.Fabric {
	fast := topology.Model{Alpha: 1e-6, Beta: 1e-10}
	f := topology.Assumed(fast, fast)
	f.Inner.Busy, f.Inner.BusyFirst, f.Inner.Turn = topology.Line(1e-6, 1e-10), 1e-6, 1e-3
	return f
}

// TestPredictChooses has fabrics on which one algorithm is plainly better, and wants to be told
// why.
func TestPredictChooses(t *testing.T) {
	fast := topology.Model{Alpha: 1e-6, Beta: 1e-10}
	slow := topology.Model{Alpha: 50e-6, Beta: 1e-7}
	for _, c := range []struct {
		name   string
		fabric topology.Fabric
		hosts  []int
		count  int
		want   string
		reason string
	}{
		{"few bytes", topology.Assumed(fast, fast), []int{0, 0, 0, 0}, 1, "recursive-doubling", "moves"},
		{
			"two hosts", topology.Assumed(fast, slow),
			[]int{0, 0, 0, 1, 1, 1},
			1 << 20,
			"hierarchical", "moves",
		},
		{"in turns", inTurns(), make([]int, 8), 1 << 20, "direct", "waiting"},
	} {
		comms := ranks(t, setting{
			size: len(c.hosts), hosts: c.hosts, opts: []Option{WithFabric(c.fabric)},
		})
		for _, comm := range comms {
			x, err := comm.Explain(schedule.AllReduce, tensor.F32, c.count)
			if err != nil {
				t.Fatal(err)
			}
			if x.Chosen != c.want || !strings.Contains(x.Reason, c.reason) || x.Speeds != "given" {
				t.Errorf("%s, rank %d: %v", c.name, comm.rank, x)
			}
		}
		checkSums(t, comms)
	}
}

// TestPredictCopies: an all-to-all that copies every block on its way has no point where that
// counts, though it sends fewer messages.
func TestPredictCopies(t *testing.T) {
	m := topology.Model{Alpha: 100e-6, Beta: 1e-9}
	for _, c := range []struct {
		copied float64
		want   string
	}{{0, "bruck"}, {1, "pairwise"}} {
		f := topology.Assumed(m, m)
		f.Copy = c.copied
		p := planner{
			size: 4, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{},
			speeds: speeds{fabric: f},
		}
		r := &request{coll: schedule.AllToAll, typ: tensor.F32, count: 5000}
		all := p.choices(r, p.args(r))
		if got := all[best(all)].Algorithm.Name; got != c.want {
			t.Errorf("a copied byte at %g of a sent one: %s, want %s", c.copied, got, c.want)
		}
	}
}

// TestPredictInPlace: an all-reduce is predicted in place, whether it is or not, where recursive doubling of two
// ranks copies what comes.
func TestPredictInPlace(t *testing.T) {
	f := topology.Assumed(topology.Model{Beta: 1e-9}, topology.Model{})
	f.Copy = 1
	for _, inPlace := range []bool{false, true} {
		p := planner{
			size: 2, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{}, speeds: speeds{fabric: f},
		}
		r := &request{coll: schedule.AllReduce, typ: tensor.F32, op: tensor.Sum, count: 1 << 20, inPlace: inPlace}
		all := p.choices(r, p.args(r))
		if got := all[best(all)].Algorithm.Name; got != "butterfly" {
			t.Errorf("in place %v: %s", inPlace, got)
		}
	}
}

// TestPredictWork: of ways to gather or to scatter that take about as long, the one with the least work
// for a rank is taken, and of those that do not, the fastest.
func TestPredictWork(t *testing.T) {
	for _, c := range []struct {
		coll   schedule.Collective
		alpha  float64 // of which the rest, beyond 1, is waiting
		stream float64
		want   string
		why    string
	}{
		{schedule.Gather, 2.2, 1e-10, "binomial", "linear should take about as long, but keeps the busiest rank for 3µs, not 2µs"},
		{schedule.Scatter, 2.2, 1e-10, "binomial", "linear should take about as long, but keeps the busiest rank for 3µs, not 2µs"},
		{schedule.Scatter, 1.5, 1e-10, "binomial", ""},
		{schedule.Scatter, 2.2, 0, "linear", ""},
		{schedule.Scatter, 3, 1e-10, "linear", ""},
	} {
		f := topology.Fabric{
			Inner:  topology.Links{Alone: topology.Line(c.alpha*1e-6, 1e-12), Message: 1e-6},
			Stream: c.stream,
		}
		c0 := ranks(t, setting{size: 4, opts: []Option{WithFabric(f)}})[0]
		x, err := c0.Explain(c.coll, tensor.F32, 1)
		if err != nil {
			t.Fatal(err)
		}
		if x.Chosen != c.want || c.why != "" && x.Reason != c.why {
			t.Errorf("%s with a latency of %g µs: %v", c.coll, c.alpha, x)
		}
	}
}

// TestBestOfNone: where nothing can be used there is no best.
func TestBestOfNone(t *testing.T) {
	g := schedule.Algorithms(schedule.Gather)
	if b := best([]Choice{{Algorithm: g[0], Refused: errOrder}, {Algorithm: g[1], Refused: errOrder}}); b != -1 {
		t.Errorf("the best of two that are refused is %d", b)
	}
}

// TestPredictStreams: over shared memory chains are for ranks that take turns on cores.
func TestPredictStreams(t *testing.T) {
	for _, c := range []struct {
		driver  string
		size    int
		crowded bool
		want    string
	}{
		{"shm", 4, false, "reducescatter-gather"},
		{"shm", 8, false, "reducescatter-gather"},
		{"shm", 4, true, "chain"},
		{"zmq:ipc", 4, false, "chain"},
	} {
		hosts := make([]int, c.size)
		p := planner{
			size: c.size, hosts: hosts, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{},
			speeds: assumed(c.driver, hosts, c.crowded),
		}
		r := &request{coll: schedule.Reduce, typ: tensor.F32, op: tensor.Sum, count: 256 << 10}
		all := p.choices(r, p.args(r))
		if got := all[best(all)].Algorithm.Name; got != c.want {
			t.Errorf("a reduce of 1 MiB by %d ranks over %s, crowded %t: %s, want %s",
				c.size, c.driver, c.crowded, got, c.want)
		}
	}
}

// TestProfilesAreKept: planning another call of an algorithm builds no programs of other ranks
// again.
func TestProfilesAreKept(t *testing.T) {
	p := planner{
		size: 4, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{},
		speeds: speeds{fabric: topology.Fabric{}},
	}
	g := schedule.Algorithms(schedule.Broadcast)[0]
	first := p.profile(g, schedule.Args{Size: 4, Count: 10})
	if p.profile(g, schedule.Args{Size: 4, Rank: 1, Count: 1000}) != first {
		t.Error("another count has another profile")
	}
	if p.profile(g, schedule.Args{Size: 4, Root: 1, Count: 10}) == first {
		t.Error("another root has the same profile")
	}
	for i := range maxProfiles {
		p.profiles[profileKey{root: -i}] = first
	}
	p.profile(g, schedule.Args{Size: 4, Root: 2, Count: 10})
	if len(p.profiles) > maxProfiles {
		t.Errorf("%d profiles are kept", len(p.profiles))
	}
}

// TestPredictAgrees: what ranks predict does not depend on what they can't know of each other, which
// is their rank and whether they are in place.
func TestPredictAgrees(t *testing.T) {
	hosts := []int{0, 0, 0, 1, 1}
	fabric := inTurns()
	fabric.Inner.Busy = topology.Curve{{Seconds: 1e-6}, {Bytes: 1 << 10, Seconds: 2e-6}, {Bytes: 1 << 20, Seconds: 9e-3}}
	fabric.Outer = fabric.Inner
	for coll := schedule.AllReduce; coll <= schedule.Barrier; coll++ {
		p := planner{
			size: len(hosts), hosts: hosts, chunkBytes: defaultChunkBytes,
			profiles: map[profileKey]*schedule.Profile{}, speeds: speeds{fabric: fabric},
		}
		r := &request{coll: coll, typ: tensor.F32, op: tensor.Sum, count: 1 << 18, root: 3}
		var first []Choice
		for p.rank = range p.size {
			for _, r.inPlace = range []bool{false, true} {
				all := p.candidates(&p.speeds, r, p.args(r))
				if first == nil {
					first = all
				}
				for i := range all {
					if a, b := &first[i], &all[i]; a.Prediction != b.Prediction || a.ChunkBytes != b.ChunkBytes {
						t.Errorf("%s %s, rank %d, in place %v: %+v in chunks of %d, rank 0 has %+v, %d", coll,
							a.Algorithm.Name, p.rank, r.inPlace, b.Prediction, b.ChunkBytes, a.Prediction, a.ChunkBytes)
					}
				}
			}
		}
	}
}

// plannerInTurns is a planner of ranks of one host for which the fabric of inTurns was measured.
func plannerInTurns(driver string, size int, steady bool) planner {
	return planner{
		size: size, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{},
		speeds: speeds{fabric: inTurns()}, assumed: assumed(driver, make([]int, size), false), steady: steady,
	}
}

// TestSteady: measured speeds choose freely where the order of contributions makes no difference to
// the bits, and elsewhere only among algorithms that combine in the order of the one assumed.
func TestSteady(t *testing.T) {
	keepLeft := tensor.Func("keep left", func(dst, a, _ []int32) { copy(dst, a) })
	for _, c := range []struct {
		size   int
		typ    tensor.Type
		op     tensor.Op
		steady bool
		want   string
	}{
		{8, tensor.F32, tensor.Sum, false, "direct"},
		{8, tensor.F32, tensor.Sum, true, "butterfly"}, // canonical, as what is assumed
		{8, tensor.F32, tensor.Max, true, "direct"},
		{8, tensor.I32, tensor.Sum, true, "direct"},
		{8, tensor.I32, keepLeft, true, "butterfly"},
		{7, tensor.BF16, tensor.Avg, false, "direct"},
		{7, tensor.BF16, tensor.Avg, true, "circulant"},
	} {
		p := plannerInTurns("zmq:tcp", c.size, c.steady)
		r := &request{coll: schedule.AllReduce, typ: c.typ, op: c.op, count: 4 << 20 / c.typ.Size()}
		got, err := p.choose(r.coll, p.choices(r, p.args(r)))
		if err != nil || got.Algorithm.Name != c.want {
			t.Errorf("%s of %s on %d ranks, steady %v: %s, %v; want %s", c.op, c.typ, c.size, c.steady,
				got.Algorithm.Name, err, c.want)
		}
		p.force = map[schedule.Collective]string{schedule.AllReduce: "ring"}
		got, err = p.choose(r.coll, p.choices(r, p.args(r)))
		if err != nil || got.Algorithm.Name != "ring" {
			t.Errorf("forced: %v, %v", got.Algorithm, err)
		}
	}
}

// TestSteadyOfTwoRanks: two contributions have one order, but for functions of the user's and where
// what is sent is rounded.
func TestSteadyOfTwoRanks(t *testing.T) {
	keepLeft := tensor.Func("keep left", func(dst, a, _ []float32) { copy(dst, a) })
	for _, c := range []struct {
		size int
		op   tensor.Op
		wire tensor.Type
		free bool
	}{
		{2, tensor.Sum, 0, true},
		{2, tensor.Avg, 0, true},
		{2, tensor.Sum, tensor.BF16, false},
		{2, keepLeft, 0, false},
		{3, tensor.Sum, 0, false},
	} {
		p := plannerInTurns("shm", c.size, true)
		p.wire = c.wire
		r := &request{coll: schedule.Reduce, typ: tensor.F32, op: c.op, count: 1 << 18}
		refused := 0
		for _, choice := range p.choices(r, p.args(r)) {
			if choice.Refused == errOrder {
				refused++
			}
		}
		if (refused == 0) != c.free {
			t.Errorf("%s on %d ranks, sent as %v: %d algorithms refused for their order", c.op, c.size, c.wire,
				refused)
		}
	}
}

// TestSteadyKeepsBits: what is chosen by measured speeds combines in the order of what is chosen without.
func TestSteadyKeepsBits(t *testing.T) {
	for _, crowded := range []bool{false, true} {
		for size := 3; size <= 12; size++ {
			for bytes := 4; bytes <= 64<<20; bytes *= 2 {
				for _, coll := range []schedule.Collective{schedule.AllReduce, schedule.Reduce, schedule.ReduceScatter} {
					p := plannerInTurns("shm", size, true)
					p.assumed = assumed("shm", make([]int, size), crowded)
					r := &request{coll: coll, typ: tensor.F32, op: tensor.Sum, count: bytes / 4}
					measured := p.choices(r, p.args(r))
					got := measured[p.pick(measured)].Algorithm
					p.speeds, p.steady = p.assumed, false
					all := p.choices(r, p.args(r))
					want := all[p.pick(all)].Algorithm
					if got != want && (!got.Canonical || !want.Canonical) {
						t.Errorf("%s of %d bytes, %d ranks, crowded %v: %s, and without measuring %s", coll, bytes, size,
							crowded, got.Name, want.Name)
					}
				}
			}
		}
	}
}

// TestCrowdedHosts: where ranks outnumber cores, long vectors go by the ring over sockets, and directly
// through shared memory, without any measurement, and so in every run.
func TestCrowdedHosts(t *testing.T) {
	member := func(host string, cores int) rendezvous.Member {
		return rendezvous.Member{HostID: host, Cores: cores}
	}
	for _, c := range []struct {
		members []rendezvous.Member
		want    bool
	}{
		{[]rendezvous.Member{member("a", 2), member("a", 2)}, false},
		{[]rendezvous.Member{member("a", 2), member("a", 2), member("a", 2)}, true},
		{[]rendezvous.Member{member("a", 2), member("b", 1), member("a", 2)}, false},
		{[]rendezvous.Member{member("a", 8), member("b", 1), member("b", 8)}, true},
		{[]rendezvous.Member{member("a", 0), member("a", 0)}, false},
	} {
		if got := crowded(c.members); got != c.want {
			t.Errorf("%+v: %v", c.members, got)
		}
	}
	for _, c := range []struct {
		driver  string
		size    int
		bytes   int
		crowded bool
		want    string
	}{
		{"zmq:tcp", 4, 16 << 20, true, "ring"},
		{"zmq:tcp", 4, 16 << 20, false, "butterfly"},
		{"zmq:tcp", 4, 64 << 10, true, "recursive-doubling"},
		{"zmq:tcp", 8, 1 << 20, true, "butterfly"},
		{"zmq:tcp", 8, 16 << 20, true, "ring"},
		{"zmq:ipc", 3, 4 << 20, true, "ring"},
		{"shm", 4, 1 << 20, true, "direct"},
		{"shm", 4, 1 << 20, false, "butterfly"},
		{"shm", 8, 256 << 10, true, "direct"},
	} {
		p := planner{
			size: c.size, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{},
			speeds: assumed(c.driver, make([]int, c.size), c.crowded),
		}
		r := &request{coll: schedule.AllReduce, typ: tensor.F32, op: tensor.Sum, count: c.bytes / 4}
		got, err := p.choose(r.coll, p.choices(r, p.args(r)))
		if err != nil || got.Algorithm.Name != c.want {
			t.Errorf("%+v: %s, %v", c, got.Algorithm.Name, err)
		}
	}
}

// TestTurns: over shared memory ranks that take turns on cores wait seldom.
func TestTurns(t *testing.T) {
	for _, c := range []struct {
		coll    schedule.Collective
		size    int
		count   int
		crowded bool
		want    string
	}{
		{schedule.ReduceScatter, 4, 1, false, "circulant"},
		{schedule.ReduceScatter, 4, 1, true, "direct"},
		{schedule.ReduceScatter, 8, 512, true, "direct"},
		{schedule.Reduce, 4, 4 << 10, false, "reducescatter-gather"},
		{schedule.Reduce, 4, 4 << 10, true, "binomial"},
		{schedule.Reduce, 8, 4 << 10, true, "binomial"},
		{schedule.AllReduce, 4, 1, false, "recursive-doubling"},
		{schedule.AllReduce, 4, 1, true, "one-shot"},
		{schedule.Barrier, 8, 0, false, "dissemination"},
		{schedule.Barrier, 8, 0, true, "one-shot"},
	} {
		p := planner{
			size: c.size, chunkBytes: defaultChunkBytes, profiles: map[profileKey]*schedule.Profile{},
			speeds: assumed("shm", make([]int, c.size), c.crowded),
		}
		r := &request{coll: c.coll, typ: tensor.F32, op: tensor.Sum, count: c.count}
		all := p.choices(r, p.args(r))
		if got := all[best(all)].Algorithm.Name; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// TestEasiest: of choices nearly as quick as the quickest one, ranks that take turns make that which waits
// least.
func TestEasiest(t *testing.T) {
	choice := func(seconds, latency float64, refused error) Choice {
		c := Choice{Algorithm: schedule.Algorithms(schedule.AllGather)[0], Refused: refused}
		c.Seconds, c.Latency = seconds, latency
		return c
	}
	all := []Choice{
		choice(100, 50, nil), choice(109, 30, nil), choice(108, 20, nil), choice(101, 10, errOrder), choice(111, 1, nil),
	}
	for crowded, want := range map[bool]int{false: 0, true: 2} {
		p := planner{assumed: assumed("shm", make([]int, 4), crowded)}
		if got := p.easiest(all, best(all)); got != want {
			t.Errorf("crowded %v: choice %d, want %d", crowded, got, want)
		}
	}
	waits := func(name string, seconds, latency float64) Choice {
		c := choice(seconds, latency, nil)
		c.Algorithm, c.Path = &schedule.Algorithm{Name: name}, seconds-latency
		return c
	}
	x := Explanation{Chosen: "few", Choices: []Choice{waits("many", 100e-6, 50e-6), waits("few", 105e-6, 20e-6)}}
	if got, want := x.reason(), "many should take about as long, but waits for messages for 50µs, not 20µs"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestChunkByDefault(t *testing.T) {
	for _, c := range []struct {
		asked   int
		driver  string
		crowded bool
		want    int
	}{
		{0, "zmq:tcp", false, defaultChunkBytes},
		{0, "zmq:tcp", true, crowdedChunkBytes},
		{0, "shm", true, defaultChunkBytes},
		{1 << 20, "zmq", true, 1 << 20},
	} {
		cfg := &config{chunkBytes: c.asked}
		if got := cfg.chunk(c.driver, c.crowded); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
