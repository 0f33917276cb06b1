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
	opening     probed = iota // opens links; says whether there is time for others
	messages                  // a point of the curve
	touching                  // the memory of links is used for the first time
	frames                    // a message in many frames
	relay                     // one message goes around, and all wait for it
	several                   // messages with several ranks at the same time
	severalLong               // the same of long ones
	calls                     // calls of one hop each
	reductions                // what comes is reduced
)

// Lengths of messages. A message that is to be cut into frames is so short that its bytes hardly
// count.
const (
	probeEmpty      = 8
	probeCut        = 2 << 10
	probeFrames     = 32
	probeTouch      = 1 << 20 // as much as a link has memory, in frames that go through it
	probeTouchFrame = 16 << 10
	probeReduce     = 256 << 10
	probeLongest    = 0        // the longest of a kind of probe
	probeMost       = 4 << 20  // longest message
	probeHost       = 16 << 20 // most that the ranks of a host exchange in a hop
)

// probeSeveral is with how many ranks before it and after it a rank exchanges messages at once.
const probeSeveral = 3

// probeSizes is the order of the probes. The most telling come first, but for the one that touches
// the memory of links, which is slow the first time.
var probeSizes = []probeSize{
	{probeEmpty, opening},
	{probeTouch, touching},
	{probeEmpty, messages},
	{64 << 10, messages},
	{1 << 20, messages},
	{8 << 10, messages},
	{probeEmpty, messages},
	{probeEmpty, calls},
	{probeEmpty, relay},
	{probeEmpty, several},
	{probeReduce, severalLong},
	{probeLongest, messages},
	{probeCut, frames},
	{probeReduce, messages},
	{probeReduce, reductions},
	{64 << 10, messages},
	{1 << 20, messages},
}

// probeKind is a set of rings that exchange at the same time.
type probeKind struct {
	outer, busy bool
	ring        []int   // this rank's, empty when it looks on
	length      int     // of the longest ring
	ranks       int     // of a host that take part
	opened      float64 // seconds that it took to open the links of the rings
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
		kinds = append(kinds, probeKind{ring: rings(pair, at < 2), length: 2, ranks: 2})
		if g > 2 {
			kinds = append(kinds, probeKind{busy: true, ring: rings(mine, true), length: g, ranks: g})
		}
	}
	if h.Count() > 1 {
		n := h.Count()
		kinds = append(kinds, probeKind{
			outer: true, ring: rings(h.Peers(0), at == 0), length: n, ranks: 1,
		})
		if g := h.Largest(); g > 1 {
			kinds = append(kinds, probeKind{
				outer: true, busy: true, ring: rings(h.Peers(at), true), length: n, ranks: g,
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

// applies reports whether a probe has a meaning for this kind.
func (k *probeKind) applies(size probeSize) bool {
	switch {
	case size.bytes > k.longest(), size.what == touching && k.outer:
		return false
	case size.what == severalLong && size.bytes*severalOf(k.length) > k.longest():
		return false
	case size.what == relay:
		return k.busy && !k.outer
	case size.what == several, size.what == severalLong:
		return severalOf(k.length) > 1
	}
	return true
}

// severalOf is with how many ranks a rank of a ring exchanges messages at once.
func severalOf(length int) int { return min(probeSeveral, length-1) }

// extent is of how many hops a probe is, and how often it is made: never, when it would go beyond
// the time that is left. Without a first point there is no curve, so that has its least.
func (k *probeKind) extent(size probeSize, left float64) (hops, times int) {
	hops, guess := probeHops, k.guess(size.bytes)
	switch {
	case size.what == opening:
		return 2, 1
	case size.what == touching:
		return 1, 1
	case size.what == several && k.opened*probeSeveral > left,
		size.what == severalLong && k.seconds[several] == 0:
		return 0, 0
	case size.what == several, size.what == severalLong:
		hops, guess = 2, guess*probeSeveral
	case size.what == relay:
		hops = k.length
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
// disturbed, or met memory that nobody had touched. Of an empty one it is the second: when the first
// is measured nothing is known, so there are few calls.
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
	if size.bytes > probeEmpty {
		p.Seconds = min(k.curve[i].Seconds, p.Seconds)
	}
	k.curve[i] = p
}

// exchange makes the call of a probe so many times, and once before, and returns how long a call
// took on this rank, 0 when it only looks on: the lower quartile over some batches of their means, of few the median.
// Single calls would mislead, for ranks overtake each other: one finds its message, the next waits twice.
// Whatever else has the cores now and then makes batches longer, never shorter.
func (t *tuner) exchange(
	ctx context.Context, k *probeKind, size probeSize, hops, times int,
) (time.Duration, error) {
	chunk := t.c.planner.chunkBytes
	switch size.what {
	case frames:
		chunk = size.bytes / probeFrames
	case touching:
		chunk = probeTouchFrame
	}
	r := request{
		coll: schedule.AllGather, typ: tensor.F32, op: tensor.Sum, count: size.bytes / 4,
	}
	r.buf[schedule.In], r.buf[schedule.Out] = t.memory[0][:size.bytes], t.memory[1][:size.bytes]
	if size.what == reductions {
		r.coll = schedule.ReduceScatter
	}
	program := exchangeProgram(t.c.rank, t.c.size, k.ring, r.coll, r.count, hops)
	switch size.what {
	case relay:
		program = relayProgram(t.c.rank, t.c.size, k.ring, r.count)
	case several, severalLong:
		program = severalProgram(t.c.rank, t.c.size, k.ring, r.count, hops)
		all := size.bytes * probeSeveral
		r.buf[schedule.In], r.buf[schedule.Out] = t.memory[0][:all], t.memory[1][:all]
	}
	plan, err := schedule.Lower(program, r.typ.Size(), chunk)
	if err != nil {
		return 0, err
	}
	entry := &planned{plan: plan, fingerprint: r.fingerprint(-1, chunk, 0)}
	entry.key.coll = r.coll
	if err := t.c.runProbe(ctx, entry, &r, 1); err != nil {
		return 0, err
	}
	if size.what == touching {
		return 0, nil
	}
	batch := max(1, times/probeBatches)
	took := make([]time.Duration, times/batch)
	for i := range took {
		begin := time.Now()
		if err := t.c.runProbe(ctx, entry, &r, batch); err != nil {
			return 0, err
		}
		took[i] = time.Since(begin) / time.Duration(batch)
	}
	if len(k.ring) == 0 {
		return 0, nil
	}
	slices.Sort(took)
	if len(took) < probeBatches {
		return took[len(took)/2], nil
	}
	return took[len(took)/4], nil
}

// runProbe makes calls of a plan that the planner does not know.
func (c *Comm) runProbe(ctx context.Context, entry *planned, r *request, calls int) error {
	c.e.enter()
	defer c.e.mu.Unlock()
	for range calls {
		if err := c.usable(); err != nil {
			return err
		}
		if !entry.connected {
			if err := c.connect(ctx, entry); err != nil {
				return err
			}
		}
		if err := c.runPlan(ctx, entry, r); err != nil {
			return err
		}
	}
	return nil
}

// fabric makes of the probes what predictions are made from. Where there was no time for a probe,
// what is assumed of the driver takes its place.
func (t *tuner) fabric(driver string) *topology.Fabric {
	inner, outer := modelOf(driver)
	f := t.c.planner.assumed.fabric
	f.Copy = copyShare
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
		message, first, turn := k.work(curve)
		if c := k.seconds[calls]; c > 0 && !k.outer || f.Call == 0 {
			f.Call = max(0, c-curve.Alpha())
		}
		if !k.busy {
			links.Alone, links.Message, links.Frame = curve, message, frame
			if gamma >= 0 && !reduces {
				f.Gamma, reduces = gamma, true
			}
			continue
		}
		links.Turn, links.Several = turn, k.several(curve)
		each := 1 / float64(k.ranks)
		for i := range curve {
			curve[i].Seconds *= each
		}
		links.Busy, links.BusyFrame = curve, frame*each
		links.BusyFirst, links.BusyMessage = first*each, message*each
		if gamma >= 0 && !busy {
			f.BusyGamma, busy = gamma*each, true
		}
	}
	return &f
}

// copyShare is Fabric.Copy of all links: a message is copied twice, and has more work than that. Of the
// copies that bruck makes in an all-to-all of 4 ranks on two cores, over TCP, it is 0.34 to 0.37 from
// 1 MiB on.
const copyShare = 1.0 / 3

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

// work takes the latency of a hop apart: what each message but the first to different ranks costs,
// what the first one does, of all ranks together, and the turn that is left, in which ranks wait for a
// core. Without the probes for it all is work where cores have no time to wait.
func (k *probeKind) work(c topology.Curve) (message, first, turn float64) {
	alpha := c.Alpha()
	message, first = k.frame(c), alpha
	if k.busy {
		message = alpha
	}
	if all := k.seconds[several]; all > 0 {
		message = max(0, min(alpha, (all-alpha)/float64(severalOf(k.length)-1)))
		first = message
	}
	if lone := k.seconds[relay]; lone > 0 {
		// Both are a turn, with the work of all ranks for their messages, or of one.
		n := float64(k.ranks)
		first = max(0, min(alpha, n*(alpha-lone)/(n-1)))
		message = min(message, first)
	}
	return message, first, max(0, alpha-first)
}

// several is how many times as long a byte takes when a rank exchanges messages with several ranks.
func (k *probeKind) several(c topology.Curve) float64 {
	many := float64(severalOf(k.length))
	all := k.seconds[severalLong] - k.seconds[several]
	if one := c.Rate(probeReduce*many) * probeReduce; all > 0 && one > 0 {
		return max(1, all/(many*one))
	}
	return 1
}

// gamma is what reducing a byte takes longer than receiving it; below 0 when it was not measured.
func (k *probeKind) gamma(c topology.Curve) float64 {
	if k.seconds[reductions] == 0 {
		return -1
	}
	return max(0, k.seconds[reductions]-c.Seconds(probeReduce)) / probeReduce
}
