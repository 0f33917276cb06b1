package collective

import (
	"math"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/topology"
)

// Prediction is how long a call should take, and of what.
type Prediction struct {
	Seconds float64
	// Latency is the part of it in which ranks wait for messages that depend on each other, Path
	// what the busiest rank sends and reduces, and Host how long the busiest host is busy with what
	// all of its ranks do together. Of Path and Host the longer one counts, in each round.
	Latency, Path, Host float64
}

// speeds is what the planner knows about links.
type speeds struct {
	fabric topology.Fabric
	// model is set where all links are alike and no host's ranks stand in each other's way: an
	// algorithm's cost then tells all.
	model  *topology.Model
	source string // where the numbers come from
}

// assumed are the speeds of a driver's links between ranks on the given hosts, without any
// measurement. They are the same on every rank, as the choice of an algorithm must be, and in every run.
// On a crowded host ranks outnumber cores.
func assumed(driver string, hosts []int, crowded bool) speeds {
	inner, outer := modelOf(driver)
	h := topology.HostsOf(hosts)
	source, turn := "assumed", 0.0
	if crowded {
		source = "assumed of hosts with more ranks than cores"
		if inner.Delta > 0 {
			inner.Caches, inner.Stream, turn = crowdedCaches, 0, crowdedTurn
		} else {
			inner.Forward = crowdedForward
		}
	}
	s := speeds{fabric: topology.Assumed(inner, outer), source: source}
	s.fabric.Inner.Turn = turn
	switch {
	case inner == outer || h.Count() == 1:
		s.model = &inner
	case h.Largest() == 1:
		s.model = &outer
	}
	return s
}

// Model.Caches of a host. With two ranks and a cache of 32 MiB the direct all-reduce is as fast as the butterfly
// to 32 MiB a rank, and a tenth faster at 64 MiB. Ranks that take turns on cores empty each other's: direct
// all-reduces of 1 to 16 MiB are 1.1 to 1.7 times as fast on 4 ranks that have two cores, all-gathers and
// reduce-scatters up to 3.
const (
	coreCaches    = 64 << 20
	crowdedCaches = 2 << 20
)

// crowdedTurn is how long it takes until a rank that shares its core has its turn: what each message takes that
// waits for another one, besides. On two cores it is 4 to 9 us for 4 ranks and 15 to 40 for 8.
const crowdedTurn = 16e-6

// coreStream is Model.Stream of a host: a byte then takes twice as long. On 16 cores of a Xeon
// chains of 4 and 8 ranks take 1.3 to 2.5 times as long as trees or scattering for 1 and 16 MiB, broadcast or
// reduced, where a message of the same bytes would have them ahead. On two cores that ranks share it is not so.
const coreStream = 1.0 / 6e9

// crowdedForward is Model.Forward where messages are copied. On two cores, over TCP, the ring is then
// ahead from 1 MiB on for 3 and 4 ranks and from 4 MiB for 8, as it is measured to be: by a fifth
// to four fifths.
const crowdedForward = 1.0 / 27e9

// crowded reports whether a host has more ranks than cores, as far as members tell.
func crowded(members []rendezvous.Member) bool {
	ranks, cores := map[string]int{}, map[string]int{}
	for _, m := range members {
		ranks[m.HostID]++
		if c := cores[m.HostID]; c == 0 || m.Cores < c {
			cores[m.HostID] = m.Cores
		}
	}
	for host, c := range cores {
		if c > 0 && ranks[host] > c {
			return true
		}
	}
	return false
}

// modelOf returns the assumed model of a driver's links inside a host and between hosts.
func modelOf(driver string) (inner, outer topology.Model) {
	const gamma = 1.0 / 12e9
	goroutines := topology.Model{Alpha: 1e-6, Beta: 1.0 / 10e9, Gamma: gamma}
	memory := topology.Model{
		Alpha: 0.5e-6, Beta: 1.0 / 6e9, Gamma: gamma, Delta: 1.0 / 30e9, Caches: coreCaches, Stream: coreStream,
	}
	unix := topology.Model{Alpha: 6e-6, Beta: 1.0 / 3e9, Gamma: gamma}
	tcp := topology.Model{Alpha: 12e-6, Beta: 1.0 / 2e9, Gamma: gamma}
	switch driver {
	case "inproc":
		return goroutines, goroutines
	case "shm":
		return memory, memory
	case "zmq:ipc":
		return unix, unix
	case "zmq:tcp":
		return tcp, tcp
	case "auto":
		return memory, tcp
	default: // zmq takes Unix sockets inside a host
		return unix, tcp
	}
}

// predict tells how long an algorithm takes for a call.
func (p *planner) predict(
	s *speeds, g *schedule.Algorithm, a schedule.Args, w width, chunk int,
) (topology.Cost, Prediction) {
	// Some ranks may be in place and others not, and all must predict the same.
	a.InPlace = g.Collective == schedule.AllReduce
	cost := w.cost(g, a, chunk)
	if m := s.model; m != nil || a.Size == 1 {
		if m == nil {
			m = &topology.Model{}
		}
		x := Prediction{Latency: m.Alpha * cost.Messages, Path: m.Seconds(cost) - m.Alpha*cost.Messages}
		if turn := s.fabric.Inner.Turn; turn > 0 {
			x.Latency += turn * p.profile(g, a).Depth
		}
		x.Seconds = x.Latency + x.Path
		return cost, x
	}
	f := p.profile(g, a)
	v := vector{width: w, elements: float64(a.Elements(g.Collective))}
	if v.touched = v.elements * float64(w.memory); g.Collective.Reduces() || g.Collective == schedule.AllToAll {
		v.touched *= 2
	}
	var x Prediction
	if g.Pipelined {
		x = s.pipeline(f, cost, chunk, v)
	} else {
		x = s.rounds(f, v)
	}
	if !f.Crosses() {
		saved := min(s.fabric.Saved(cost), x.Seconds/2)
		x.Path -= min(saved, x.Path)
		x.Seconds -= saved
	}
	return cost, x
}

// vector is what a profile's shares are of.
type vector struct {
	width
	elements float64
	touched  float64 // bytes of a rank's buffers
}

// sent is its bytes in messages.
func (v vector) sent() float64 { return v.elements * float64(v.wire) }

// reduced is the bytes that are reduced of a share of it, of which another share is sent: see
// width.cost.
func (v vector) reduced(share, sent float64) float64 {
	if v.wire != v.memory {
		share += sent + max(sent, share)
	}
	return share * v.elements * float64(v.memory)
}

// copied is how long it takes to copy a share of the vector inside memory, where messages inside a host
// take as long as the curve says.
func (s *speeds) copied(v vector, share float64, messages topology.Curve) float64 {
	return s.fabric.Copy * share * v.elements * float64(v.memory) * messages.Rate(v.touched/2)
}

// rounds predicts programs in rounds. All ranks have done a round before the next one begins, as
// far as its messages wait for each other.
func (s *speeds) rounds(f *schedule.Profile, v vector) (x Prediction) {
	n := v.sent()
	in, out := &s.fabric.Inner, &s.fabric.Outer
	number := 0
	for i := range f.Rounds {
		number += f.Rounds[i].Times
	}
	depends := f.Depth / max(1, float64(number))
	for i := range f.Rounds {
		r := &f.Rounds[i]
		times := float64(r.Times)
		path := max(in.Stream(r.Inner.Rank.Scale(n), v.touched),
			out.Stream(r.Outer.Rank.Scale(n), v.touched))
		path += s.fabric.Gamma*v.reduced(r.Reduced, r.Inner.Rank.Bytes+r.Outer.Rank.Bytes) +
			s.copied(v, r.Copied, in.Alone)
		host := max(
			in.BusyStream(r.Inner.Host.Scale(n), f.HostRanks, r.Inner.Rank.Messages, v.touched),
			out.BusyStream(r.Outer.Host.Scale(n), f.HostRanks, r.Outer.Rank.Messages, v.touched),
		)
		host += s.fabric.BusyGamma*v.reduced(r.HostReduced, r.Inner.Host.Bytes+r.Outer.Host.Bytes) +
			s.copied(v, r.HostCopied, in.Busy)
		var wait float64
		if r.Inner.Rank.Messages > 0 {
			wait = in.Latency()
		}
		if r.Outer.Rank.Messages > 0 {
			wait = max(wait, out.Latency())
		}
		wait *= depends
		x.Latency += times * wait
		x.Path += times * path
		x.Host += times * host
		x.Seconds += times * (wait + max(path, host))
	}
	x.Latency += s.fabric.Call
	x.Seconds += s.fabric.Call
	return x
}

// pipeline predicts a program whose chunks follow each other: latencies until the first chunk is
// through, then one chunk after the other. A busy host handles the chunks of a message as it would
// the whole message: nothing keeps them from piling up in the link until the receiver has its turn.
func (s *speeds) pipeline(f *schedule.Profile, c topology.Cost, chunk int, v vector) Prediction {
	links := &s.fabric.Inner
	var x Prediction
	for i := range f.Rounds {
		r := &f.Rounds[i]
		if r.Outer.Rank.Messages > 0 {
			links = &s.fabric.Outer
		}
		host := max(busyPipeline(&s.fabric.Inner, &r.Inner, f.HostRanks, chunk, v),
			busyPipeline(&s.fabric.Outer, &r.Outer, f.HostRanks, chunk, v))
		host += s.fabric.BusyGamma*v.reduced(r.HostReduced, r.Inner.Host.Bytes+r.Outer.Host.Bytes) +
			s.copied(v, r.HostCopied, s.fabric.Inner.Busy)
		x.Host += float64(r.Times) * host
		x.Path += float64(r.Times) * s.copied(v, r.Copied, s.fabric.Inner.Alone)
	}
	x.Latency = s.fabric.Call + f.Depth*links.Latency()
	path := topology.Load{Messages: c.Messages, Bytes: c.Bytes}
	x.Path += links.Stream(path, v.touched) + s.fabric.Gamma*c.Reduced
	x.Seconds = x.Latency + max(x.Path, x.Host)
	return x
}

// busyPipeline is how long messages that are cut into chunks keep a host busy.
func busyPipeline(
	l *topology.Links, t *schedule.Traffic, ranks float64, chunk int, v vector,
) float64 {
	w := t.Host.Scale(v.sent())
	frames := w.Messages
	if w.Messages > 0 {
		frames *= max(1, math.Ceil(w.Bytes/w.Messages/float64(chunk)))
	}
	return l.BusyStream(w, ranks, t.Rank.Messages, v.touched) + l.BusyFrame*(frames-w.Messages)
}

// profileKey is what a profile depends on, inside one communicator.
type profileKey struct {
	algorithm *schedule.Algorithm
	root      int
}

// maxProfiles bounds the profiles that a communicator keeps.
const maxProfiles = 256

// profile returns what the programs of all ranks do, which is found out once.
func (p *planner) profile(g *schedule.Algorithm, a schedule.Args) *schedule.Profile {
	k := profileKey{g, a.Root}
	if !g.Collective.Rooted() {
		k.root = 0
	}
	f := p.profiles[k]
	if f == nil {
		if len(p.profiles) >= maxProfiles {
			clear(p.profiles)
		}
		f = schedule.ProfileOf(g, a)
		p.profiles[k] = f
	}
	return f
}
