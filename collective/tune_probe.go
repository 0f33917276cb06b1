package collective

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/topology"
)

// A probe is a program as all others: some ranks form a ring, and in each hop every one of them
// sends to the next what the last hop has brought. So it costs what a round of a collective costs, in the
// engine, on the links and with the waiting that collectives have.

// probeHops is how many hops a probe has.
const probeHops = 4

// probeSize is one message to time.
type probeSize struct {
	bytes int
	what  probed
}

// probed is what a probe is about.
type probed uint8

const (
	opening    probed = iota // opens links; says whether there is time for others
	messages                 // a point of the curve
	frames                   // the same message in many frames
	calls                    // calls of one hop each
	reductions               // what comes is reduced
)

// Lengths of messages. A message that is to be cut into frames is so short that its bytes hardly
// count.
const (
	probeEmpty  = 8
	probeCut    = 2 << 10
	probeFrames = 32
	probeReduce = 256 << 10
	probeMost   = 1 << 20  // longest message
	probeHost   = 16 << 20 // most that the ranks of a host exchange in a hop
)

// probeSizes is the order of the probes. Long messages come first, for the memory of links is slow
// when it is touched for the first time; where they have had no time, short ones at least have.
var probeSizes = []probeSize{
	{probeEmpty, opening},
	{probeEmpty, messages},
	{64 << 10, messages},
	{probeReduce, messages},
	{probeMost, messages},
	{probeEmpty, messages},
	{probeEmpty, calls},
	{probeCut, frames},
	{8 << 10, messages},
	{64 << 10, messages},
	{probeReduce, messages},
	{probeReduce, reductions},
}

// probeKind is a set of rings that exchange at the same time.
type probeKind struct {
	outer, busy bool
	ring        []int // this rank's, empty when it looks on
	ranks       int   // of a host that take part
	curve       topology.Curve
	seconds     [reductions + 1]float64 // of a hop, for what has no curve
}

// probeKinds lists what there is to measure among ranks on these hosts, as this rank sees it.
func probeKinds(hosts []int, rank int) []probeKind {
	h := topology.HostsOf(hosts)
	mine, at := h.Members[h.Index[rank]], h.LocalRank(rank)
	rings := func(of []int, takePart bool) []int {
		if takePart && len(of) > 1 {
			return of
		}
		return nil
	}
	var kinds []probeKind
	if g := h.Largest(); g > 1 {
		pair := mine[:min(2, len(mine))]
		kinds = append(kinds, probeKind{ring: rings(pair, at < 2), ranks: 2})
		if g > 2 {
			kinds = append(kinds, probeKind{busy: true, ring: rings(mine, true), ranks: g})
		}
	}
	if h.Count() > 1 {
		kinds = append(kinds, probeKind{outer: true, ring: rings(h.Peers(0), at == 0), ranks: 1})
		if g := h.Largest(); g > 1 {
			kinds = append(kinds, probeKind{
				outer: true, busy: true, ring: rings(h.Peers(at), true), ranks: g,
			})
		}
	}
	return kinds
}

// longest is the longest message that this kind exchanges.
func (k *probeKind) longest() int {
	n := probeMost
	for n > probeCut && n*k.ranks > probeHost {
		n /= 2
	}
	return n
}

// extent is of how many hops a probe is, and how often it is made: never, when it would go beyond
// the time that is left. Without a first point there is no curve, so that has its least.
func (k *probeKind) extent(size probeSize, left float64) (hops, times int) {
	hops, guess := probeHops, k.guess(size.bytes)
	switch {
	case size.what == opening:
		return 2, 1
	case size.what == calls:
		hops = 1
	case size.what == frames:
		hops, guess = 2, guess*probeFrames/4
	case size.bytes >= probeReduce:
		hops = 2
	}
	each := guess * float64(hops)
	if each*(probeMin+1) > left {
		if len(k.curve) == 0 {
			return 1, 1
		}
		return 0, 0
	}
	return hops, max(probeMin, min(probeMax, int(probeTime.Seconds()/each)))
}

// guess is what a hop of so many bytes will take at the most, by what is known; 0: nothing is.
func (k *probeKind) guess(bytes int) float64 {
	if len(k.curve) == 0 {
		return k.seconds[opening]
	}
	last := k.curve[len(k.curve)-1]
	if x := float64(bytes); x > last.Bytes {
		return last.Seconds * max(1, x/max(last.Bytes, 4<<10))
	}
	least := last.Seconds // a longer message can't be faster
	for _, p := range k.curve {
		if p.Bytes >= float64(bytes) {
			least = min(least, p.Seconds)
		}
	}
	return least
}

// note keeps what a hop takes; of a message measured twice, the shorter time: the first was perhaps
// disturbed, or met memory that nobody had touched.
func (k *probeKind) note(size probeSize, seconds float64) {
	if size.what != messages {
		k.seconds[size.what] = seconds
		return
	}
	p := topology.Point{Bytes: float64(size.bytes), Seconds: seconds}
	if size.bytes == probeEmpty {
		p.Bytes = 0
	}
	i, found := slices.BinarySearchFunc(k.curve, p, func(a, b topology.Point) int {
		return cmp.Compare(a.Bytes, b.Bytes)
	})
	if !found {
		k.curve = slices.Insert(k.curve, i, p)
	}
	k.curve[i].Seconds = min(k.curve[i].Seconds, p.Seconds)
}

// exchange makes the call of a probe so many times, and once before, and returns how long a call
// took on this rank, 0 when it only looks on: the median over a few batches of their means. Single
// calls would mislead, for ranks overtake each other: one finds its message, the next waits twice.
func (t *tuner) exchange(
	ctx context.Context, k *probeKind, size probeSize, hops, times int,
) (time.Duration, error) {
	chunk := t.c.planner.chunkBytes
	if size.what == frames {
		chunk = size.bytes / probeFrames
	}
	r := request{
		coll: schedule.AllGather, typ: tensor.F32, op: tensor.Sum, count: size.bytes / 4,
		in: t.memory[0][:size.bytes], out: t.memory[1][:size.bytes],
	}
	if size.what == reductions {
		r.coll = schedule.ReduceScatter
	}
	program := exchangeProgram(t.c.rank, t.c.size, k.ring, r.coll, r.count, hops)
	plan, err := schedule.Lower(program, r.typ.Size(), chunk)
	if err != nil {
		return 0, err
	}
	entry := &planned{plan: plan, fingerprint: r.fingerprint(-1, chunk, 0)}
	entry.key.coll = r.coll
	if err := t.c.runPlan(ctx, entry, &r, 1); err != nil {
		return 0, err
	}
	batch := max(1, times/probeBatches)
	took := make([]time.Duration, times/batch)
	for i := range took {
		begin := time.Now()
		if err := t.c.runPlan(ctx, entry, &r, batch); err != nil {
			return 0, err
		}
		took[i] = time.Since(begin) / time.Duration(batch)
	}
	if len(k.ring) == 0 {
		return 0, nil
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// exchangeProgram is this rank's program: hops messages around the ring, from either buffer in
// turn.
func exchangeProgram(
	rank, size int, ring []int, coll schedule.Collective, count, hops int,
) *schedule.Program {
	p := &schedule.Program{Collective: coll, Algorithm: "probe", Rank: rank, Size: size}
	if len(ring) == 0 {
		return p
	}
	whole := schedule.Layout{0, count}
	p.Layouts[schedule.In], p.Layouts[schedule.Out] = whole, whole
	at, n := slices.Index(ring, rank), len(ring)
	next, last := ring[(at+1)%n], ring[(at+n-1)%n]
	from, to := schedule.Span{Buf: schedule.In, N: 1}, schedule.Span{Buf: schedule.Out, N: 1}
	for hop := range hops {
		p.Steps = append(p.Steps, schedule.Step{Kind: schedule.Send, Peer: next, A: from, Group: hop})
		s := schedule.Step{Kind: schedule.Recv, Peer: last, Dst: to, Group: hop}
		if coll.Reduces() {
			s.Kind, s.A = schedule.RecvReduce, to
		}
		p.Steps = append(p.Steps, s)
		from, to = to, from
	}
	return p
}

// runPlan makes calls of a plan that the planner does not know.
func (c *Comm) runPlan(ctx context.Context, entry *planned, r *request, calls int) error {
	e := c.e
	e.enter()
	defer e.mu.Unlock()
	for range calls {
		if err := c.usable(); err != nil {
			return err
		}
		if !entry.connected {
			if err := c.connect(ctx, entry); err != nil {
				return err
			}
		}
		call := c.newCall(entry)
		call.reset(r)
		call.ctx = ctx
		c.number(call, r)
		e.post(call)
		e.wait(ctx, call)
		if call.err != nil {
			return call.err
		}
		entry.idle = append(entry.idle, call)
	}
	return nil
}

// fabric makes of the probes what predictions are made from. Where there was no time for a probe,
// what is assumed of the driver takes its place.
func (t *tuner) fabric(driver string) *topology.Fabric {
	inner, outer := modelOf(driver)
	f := topology.Assumed(inner, outer)
	var reduces, busy bool // whether reductions were measured
	for i := range t.kinds {
		k := &t.kinds[i]
		links, m := &f.Inner, inner
		if k.outer {
			links, m = &f.Outer, outer
		}
		curve := k.measured(m)
		if curve == nil || !k.outer && len(k.curve) < 2 {
			continue // inside a host nothing takes so long, but a core that others have
		}
		frame, gamma := k.frame(curve), k.gamma(curve)
		if c := k.seconds[calls]; c > 0 && !k.outer || f.Call == 0 {
			f.Call = max(0, c-curve.Alpha())
		}
		if !k.busy {
			links.Alone, links.Frame = curve, frame
			if gamma >= 0 && !reduces {
				f.Gamma, reduces = gamma, true
			}
			continue
		}
		each := 1 / float64(k.ranks)
		for i := range curve {
			curve[i].Seconds *= each
		}
		links.Busy, links.BusyFrame = curve, frame*each
		if gamma >= 0 && !busy {
			f.BusyGamma, busy = gamma*each, true
		}
	}
	return &f
}

// measured is the curve of what was measured, nil when nothing was.
func (k *probeKind) measured(m topology.Model) topology.Curve {
	c := k.curve.Rising()
	if alpha := k.seconds[opening]; len(c) == 0 && alpha > 0 {
		c = topology.Curve{{Seconds: alpha}}
	}
	if len(c) == 1 {
		c = topology.Line(c[0].Seconds, m.Beta)
	}
	return c
}

// frame is what each of many frames costs, of a message or of messages that nobody waits for.
func (k *probeKind) frame(c topology.Curve) float64 {
	many := k.seconds[frames]
	if many == 0 {
		return c.Alpha()
	}
	return max(0, min(c.Alpha(), (many-c.Seconds(probeCut))/(probeFrames-1)))
}

// gamma is what reducing a byte takes longer than receiving it; below 0 when it was not measured.
func (k *probeKind) gamma(c topology.Curve) float64 {
	if k.seconds[reductions] == 0 {
		return -1
	}
	return max(0, k.seconds[reductions]-c.Seconds(probeReduce)) / probeReduce
}
