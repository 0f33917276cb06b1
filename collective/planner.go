package collective

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
	"github.com/tutti-ml/tutti/transport"
)

// planKey is what a plan depends on. Uneven counts stand in it by a hash seeded in this process;
// a cached plan is compared with the counts themselves before it is used.
type planKey struct {
	coll    schedule.Collective
	typ     tensor.Type
	op      tensor.Op
	root    int
	count   int
	counts  uint64
	inPlace bool
	sending bool
}

// planned is a cached plan with what its calls need.
type planned struct {
	key         planKey
	counts      []int // copy of the uneven counts: own, or sendCounts then recvCounts
	algorithm   *schedule.Algorithm
	wire        tensor.Type // of the elements of messages, zero: as in memory
	plan        *schedule.Plan
	fingerprint *transport.Fingerprint // on its own: the history of calls keeps it longer than the plan
	channels    []*channel             // of each of the plan's links, in order
	connected   bool                   // all links that this rank must dial are open
	brief       *brief                 // set when connected, nil where the plan has no brief form
	idle        []*call                // finished calls, to be used again
	used        uint64                 // when it was last used, in calls of the communicator
	forgotten   bool                   // it is not in the cache any more
}

// maxPlans bounds the plans that a communicator keeps.
const maxPlans = 256

// planner chooses algorithms and keeps plans. It is guarded by the engine's turn.
type planner struct {
	rank, size int
	hosts      []int
	speeds     speeds // by which calls are predicted
	assumed    speeds
	steady     bool // speeds are measured, and must not choose the order of sums
	force      map[schedule.Collective]string
	canonical  bool
	chunkBytes int
	wire       tensor.Type // of messages of float32 that are reduced, zero: as in memory
	priority   bool        // frames go on lanes of their own, where there are
	seed       maphash.Seed
	cache      map[planKey]*planned
	recent     [recentPlans]*planned // some of those in the cache, found without hashing
	profiles   map[profileKey]*schedule.Profile
	clock      uint64
}

func (p *planner) key(r *request) planKey {
	k := planKey{
		coll: r.coll, typ: r.typ, op: r.op, root: r.root, count: r.count,
		inPlace: r.inPlace, sending: r.sending,
	}
	if r.counts != nil || r.sendCounts != nil {
		var h maphash.Hash
		h.SetSeed(p.seed)
		for _, l := range [...][]int{r.counts, r.sendCounts, r.recvCounts} {
			for _, c := range l {
				maphash.WriteComparable(&h, c)
			}
		}
		k.counts = h.Sum64() | 1
	}
	return k
}

// sameCounts compares a cached plan's uneven counts with the call's.
func (e *planned) sameCounts(r *request) bool {
	if r.counts == nil && r.sendCounts == nil && r.recvCounts == nil {
		return len(e.counts) == 0
	}
	return e.sameUneven(r)
}

func (e *planned) sameUneven(r *request) bool {
	i := 0
	for _, l := range [...][]int{r.counts, r.sendCounts, r.recvCounts} {
		for _, c := range l {
			if i >= len(e.counts) || e.counts[i] != c {
				return false
			}
			i++
		}
	}
	return i == len(e.counts)
}

// recentPlans is how many plans have a place where they are found at once: hashing a key takes
// as long as the rest of a small call.
const recentPlans = 16

// place is where among the recent plans that of a call is, if it is there.
func (r *request) place() int {
	return (int(r.coll)*5 + r.count + r.root) & (recentPlans - 1)
}

// is reports whether the plan is that of a call.
func (e *planned) is(r *request) bool {
	k := &e.key
	return k.count == r.count && k.coll == r.coll && k.typ == r.typ && k.op == r.op &&
		k.root == r.root && k.inPlace == r.inPlace && k.sending == r.sending && e.sameCounts(r)
}

// recall returns the plan of a call that is among the recent ones, nil when it is not, or is none for what is wrong
// with its arguments.
func (p *planner) recall(r *request) *planned {
	e := p.recent[r.place()]
	if e == nil || r.err != nil || !e.is(r) {
		return nil
	}
	p.clock++
	e.used = p.clock
	return e
}

// get returns the plan of a call, made now if it is not kept.
func (p *planner) get(r *request) (*planned, error) {
	if e := p.recall(r); e != nil {
		return e, nil
	}
	p.clock++
	e, err := p.find(r)
	if err == nil {
		p.recent[r.place()] = e
	}
	return e, err
}

func (p *planner) find(r *request) (*planned, error) {
	k := p.key(r)
	if e, ok := p.cache[k]; ok && e.sameCounts(r) {
		e.used = p.clock
		return e, nil
	}
	e, err := p.make(r)
	if err != nil {
		return nil, err
	}
	e.key, e.used = k, p.clock
	if len(p.cache) >= maxPlans {
		p.evict()
	}
	p.cache[k] = e
	return e, nil
}

// evict forgets the plan that was used longest ago.
func (p *planner) evict() {
	var oldest *planned
	for _, e := range p.cache {
		if oldest == nil || e.used < oldest.used {
			oldest = e
		}
	}
	if oldest != nil {
		delete(p.cache, oldest.key)
		oldest.forgotten = true
		if i := slices.Index(p.recent[:], oldest); i >= 0 {
			p.recent[i] = nil
		}
	}
}

func (p *planner) make(r *request) (*planned, error) {
	e := &planned{}
	e.counts = append(append(append(e.counts, r.counts...), r.sendCounts...), r.recvCounts...)
	if r.coll == schedule.SendRecv {
		plan, err := schedule.Lower(pointToPoint(p.rank, p.size, r), r.typ.Size(), p.chunkBytes)
		if err != nil {
			return nil, fmt.Errorf("collective: %w", err)
		}
		e.plan, e.fingerprint = plan, r.fingerprint(-1, p.chunkBytes, 0)
		return e, nil
	}
	args := p.args(r)
	if err := args.Check(r.coll); err != nil {
		return nil, &ArgumentError{Collective: r.coll, Reason: err.Error(), Err: err}
	}
	e.wire = p.wireOf(r)
	choice, err := p.choose(r.coll, p.choices(r, args))
	if err != nil {
		return nil, err
	}
	e.algorithm = choice.Algorithm
	plan, err := schedule.Lower(choice.Algorithm.Build(args), r.typ.Size(), choice.ChunkBytes)
	if err != nil {
		return nil, fmt.Errorf("collective: %w", err)
	}
	e.plan = plan
	e.fingerprint = r.fingerprint(choice.index, choice.ChunkBytes, e.wire)
	return e, nil
}

// uniform reports whether every rank can tell the whole call from its own arguments. Only an
// all-to-all with uneven counts is not so.
func (r *request) uniform() bool { return r.sendCounts == nil }

// args translates a call for the builders.
func (p *planner) args(r *request) schedule.Args {
	a := schedule.Args{
		Rank: p.rank, Size: p.size, Root: r.root, InPlace: r.inPlace, Hosts: p.hosts,
	}
	even := func() []int {
		c := make([]int, p.size)
		for i := range c {
			c[i] = r.count
		}
		return c
	}
	switch r.coll {
	case schedule.AllReduce, schedule.Broadcast, schedule.Reduce:
		a.Count = r.count
	case schedule.AllToAll:
		a.SendCounts, a.RecvCounts = r.sendCounts, r.recvCounts
		if r.uniform() {
			a.Count, a.SendCounts = r.count, even()
			a.RecvCounts = a.SendCounts
		}
	case schedule.Barrier:
	default:
		if a.Counts = r.counts; a.Counts == nil {
			a.Counts = even()
		}
	}
	return a
}

// Choice is an algorithm with its predicted time.
type Choice struct {
	Algorithm  *schedule.Algorithm
	ChunkBytes int
	Cost       topology.Cost
	Prediction
	Refused error // why it cannot be used, nil if it can
	index   int
}

// choices predicts every algorithm of a call.
func (p *planner) choices(r *request, a schedule.Args) []Choice {
	all := p.candidates(&p.speeds, r, a)
	if p.steady && p.force[r.coll] == "" && r.ordered() && !p.oneOrder(r) {
		p.keepOrder(all, p.candidates(&p.assumed, r, a))
	}
	return all
}

// candidates predicts every algorithm of a call by the given speeds.
func (p *planner) candidates(s *speeds, r *request, a schedule.Args) []Choice {
	w := widthOf(r.typ, p.wireOf(r))
	var out []Choice
	for i, alg := range schedule.Algorithms(r.coll) {
		c := Choice{Algorithm: alg, ChunkBytes: p.chunkBytes, index: i}
		switch {
		case !r.uniform() && i > 0:
			// Ranks see different counts, so they can only agree on the first algorithm.
			c.Refused = errors.New("ranks do not know each other's counts")
		case alg.Applies != nil:
			c.Refused = alg.Applies(a)
		}
		if c.Refused == nil && p.canonical && r.coll.Reduces() && !alg.Canonical {
			c.Refused = errors.New("its bits depend on an element's place")
		}
		if c.Refused == nil {
			if alg.Pipelined {
				c.ChunkBytes = p.pipelineChunk(s, alg, a, w)
			}
			c.Cost, c.Prediction = p.predict(s, alg, a, w, c.ChunkBytes)
		}
		out = append(out, c)
	}
	return out
}

var errOrder = errors.New("other bits than without measuring: " + TuneOn + " allows it")

// keepOrder refuses what would combine in another order than what is chosen of the same algorithms by
// what is assumed. All canonical ones combine in the same order.
func (p *planner) keepOrder(measured, assumed []Choice) {
	b := p.pick(assumed)
	for i := range measured {
		c := &measured[i]
		same := b >= 0 && c.Algorithm.Canonical && assumed[b].Algorithm.Canonical
		if i != b && !same && c.Refused == nil {
			c.Refused = errOrder
		}
	}
}

// ordered reports whether the result's bits depend on the order in which contributions are
// combined: of floating-point numbers, but for the least and the greatest, and by functions of the
// user's. Without an operation the answer is for a sum.
func (r *request) ordered() bool {
	if !r.coll.Reduces() {
		return false
	}
	switch r.op.Code() {
	case tensor.Min.Code(), tensor.Max.Code():
		return false
	case 0, tensor.Sum.Code(), tensor.Prod.Code(), tensor.Avg.Code():
		return r.typ >= tensor.F64 && r.typ <= tensor.BF16
	}
	return true
}

// oneOrder reports whether all algorithms combine alike: two ranks have one contribution each, and
// built-in operations commute on bits. Where messages are rounded it matters whose is sent.
func (p *planner) oneOrder(r *request) bool {
	return p.size == 2 && p.wire == 0 && !byUser(r.op)
}

// pipelineChunk finds the chunk, a power of two between 4 KiB and the largest, for which the
// model predicts the shortest time.
func (p *planner) pipelineChunk(
	s *speeds, alg *schedule.Algorithm, a schedule.Args, w width,
) int {
	least, leastTime := p.chunkBytes, math.Inf(1)
	for c := p.chunkBytes; c >= 4096; c /= 2 {
		if _, x := p.predict(s, alg, a, w, c); x.Seconds < leastTime {
			least, leastTime = c, x.Seconds
		}
	}
	return least
}

// tie is how little a prediction may be below another to count as the same: less than any of them is
// worth, and more than the rounding of the sums.
const tie = 1e-6

// A gather or a scatter makes nobody wait for the next one: when calls follow each other, what keeps the
// busiest rank from it counts, and not how long a message is under way. So of those that are predicted to
// take nearly as long alone, the one that has clearly less work for a rank is taken where ranks share memory
// and each has a core of its own. There, on 8 ranks, gathers and scatters of few bytes are 1.3 to 3 times as
// fast in trees as from rank to rank; over TCP, on two cores that 4 ranks share, gathers take a third longer.
const (
	near     = 1.1
	lessWork = 0.8
)

// best returns the choice predicted to be fastest, of equals the first in the registry; -1 when
// none can be used.
func best(all []Choice) int {
	b := -1
	for i, c := range all {
		if c.Refused == nil && (b < 0 || c.Seconds < all[b].Seconds*(1-tie)) {
			b = i
		}
	}
	return b
}

// pick returns the choice to be taken, -1 when none can be used.
func (p *planner) pick(all []Choice) int {
	b := best(all)
	if b >= 0 {
		b = p.easiest(all, b)
	}
	return b
}

// easiest returns the choice to be taken for the fastest one, which is b: that itself, as a rule. Where ranks
// share memory and cores it is, of those predicted to take nearly as long, the one that waits least for turns:
// these vary most. Among 8 ranks on two cores all-gathers of 1 MiB are then twice as fast, and broadcasts of
// 16 KiB, in which ranks may run ahead of each other, eight times.
func (p *planner) easiest(all []Choice, b int) int {
	if p.assumed.fabric.Inner.Turn > 0 {
		least := b
		for i := range all {
			if c := &all[i]; c.Refused == nil && c.Seconds < near*all[b].Seconds && c.Latency < all[least].Latency {
				least = i
			}
		}
		return least
	}
	if k := all[b].Algorithm.Collective; p.speeds.fabric.Stream == 0 || k != schedule.Gather && k != schedule.Scatter {
		return b
	}
	for i := range all {
		if all[i].easier(&all[b]) {
			return i
		}
	}
	return b
}

// easier reports whether c takes nearly as long as d, and has clearly less work for a rank.
func (c *Choice) easier(d *Choice) bool {
	return c.Refused == nil && c.Seconds < near*d.Seconds && c.Path < lessWork*d.Path
}

// choose picks the algorithm that the user forces, or else the best one.
func (p *planner) choose(coll schedule.Collective, all []Choice) (Choice, error) {
	forced := p.force[coll]
	if forced == "" {
		if b := p.pick(all); b >= 0 {
			return all[b], nil
		}
	}
	for _, c := range all {
		if forced != c.Algorithm.Name {
			continue
		}
		if c.Refused != nil {
			return Choice{}, &ArgumentError{
				Collective: coll, Err: c.Refused,
				Reason: fmt.Sprintf("algorithm %q can't be used: %v", forced, c.Refused),
				Remedy: "force another, or none",
			}
		}
		return c, nil
	}
	_, err := schedule.Lookup(coll, forced)
	return Choice{}, &ArgumentError{
		Collective: coll, Reason: fmt.Sprintf("no algorithm for this call: %v", err), Err: err,
	}
}

// pointToPoint is the program of Send and Recv.
func pointToPoint(rank, size int, r *request) *schedule.Program {
	p := &schedule.Program{Collective: schedule.SendRecv, Algorithm: "direct", Rank: rank, Size: size}
	s := schedule.Step{Kind: schedule.Recv, Peer: r.root, Dst: schedule.Span{Buf: schedule.Out, N: 1}}
	p.Layouts[schedule.Out] = schedule.Layout{0, r.count}
	if r.sending {
		s = schedule.Step{Kind: schedule.Send, Peer: r.root, A: schedule.Span{Buf: schedule.In, N: 1}}
		p.Layouts[schedule.In], p.Layouts[schedule.Out] = p.Layouts[schedule.Out], nil
	}
	p.Steps = []schedule.Step{s}
	return p
}
