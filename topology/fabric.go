package topology

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
)

// Point is how long a message of so many bytes takes.
type Point struct {
	Bytes   float64 `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// Curve is the time of a message as a function of its bytes: straight between its points, level
// before the first and, behind the last, as steep as on the whole, or as between the last two where that is
// steeper: caches end there. Points rise in bytes and do not fall in seconds. A curve of one point is a latency alone; an empty one is zero.
//
// One alpha and one beta do not describe a real link: a socket is fast while its buffer and the
// cache hold what is under way, and slower beyond.
//
// Source: T. Kielmann, H. Bal, K. Verstoep, Fast Measurement of LogP Parameters for Message Passing
// Platforms, 2000, which makes the parameters of LogP functions of the size.
type Curve []Point

// Line returns the curve of a link with one latency and one bandwidth.
func Line(alpha, beta float64) Curve {
	return Curve{{0, alpha}, {lineBytes, alpha + beta*lineBytes}}
}

// lineBytes is where the second point of a Line is.
const lineBytes = 1 << 20

// Seconds returns the time of a message.
func (c Curve) Seconds(bytes float64) float64 {
	switch i := sort.Search(len(c), func(i int) bool { return c[i].Bytes >= bytes }); {
	case len(c) == 0:
		return 0
	case i == 0:
		return c[0].Seconds
	case i == len(c):
		slope := c.Beta()
		if i > 1 {
			a, b := c[i-2], c[i-1]
			slope = max(slope, (b.Seconds-a.Seconds)/(b.Bytes-a.Bytes))
		}
		return c[i-1].Seconds + slope*(bytes-c[i-1].Bytes)
	default:
		a, b := c[i-1], c[i]
		return a.Seconds + (b.Seconds-a.Seconds)*(bytes-a.Bytes)/(b.Bytes-a.Bytes)
	}
}

// Alpha is the time of a message without bytes.
func (c Curve) Alpha() float64 { return c.Seconds(0) }

// Beta is the time of a byte of a long message: the mean from the first point to the last.
func (c Curve) Beta() float64 {
	if len(c) < 2 {
		return 0
	}
	a, b := c[0], c[len(c)-1]
	return (b.Seconds - a.Seconds) / (b.Bytes - a.Bytes)
}

// Rate is the time of a byte of a message of so many, beyond the latency.
func (c Curve) Rate(bytes float64) float64 {
	if bytes <= 0 {
		return 0
	}
	return (c.Seconds(bytes) - c.Alpha()) / bytes
}

// Rising returns the curve with its points in order and no point below one before it: neighbours in
// the wrong order, which noise has turned around, both get their mean.
func (c Curve) Rising() Curve {
	c = slices.Clone(c)
	slices.SortFunc(c, func(a, b Point) int { return cmp.Compare(a.Bytes, b.Bytes) })
	// Pools of neighbours, each the mean of its points, until the means rise.
	type pool struct {
		sum float64
		n   int
	}
	var pools []pool
	for _, p := range c {
		q := pool{p.Seconds, 1}
		for k := len(pools) - 1; k >= 0 && pools[k].sum/float64(pools[k].n) > q.sum/float64(q.n); k-- {
			q = pool{q.sum + pools[k].sum, q.n + pools[k].n}
			pools = pools[:k]
		}
		pools = append(pools, q)
	}
	i := 0
	for _, q := range pools {
		for range q.n {
			c[i].Seconds = q.sum / float64(q.n)
			i++
		}
	}
	return c
}

func (c Curve) check() error {
	for i, p := range c {
		switch {
		case !finite(p.Bytes) || !finite(p.Seconds):
			return fmt.Errorf("point %d is %g bytes in %g s", i, p.Bytes, p.Seconds)
		case i > 0 && (p.Bytes <= c[i-1].Bytes || p.Seconds < c[i-1].Seconds):
			return fmt.Errorf("point %d, %g bytes in %g s, comes after %g in %g", i, p.Bytes,
				p.Seconds, c[i-1].Bytes, c[i-1].Seconds)
		}
	}
	return nil
}

// finite reports whether x can be an amount.
func finite(x float64) bool { return x >= 0 && !math.IsInf(x, 1) }

// Links is what messages between ranks at one distance cost.
type Links struct {
	// Alone is the time of a round in which two ranks swap messages and the others do nothing. Each
	// has two buffers as long as the message, which caches hold or do not.
	Alone Curve `json:"alone"`
	// Message is what each of several messages to different ranks costs beyond its bytes where
	// nobody waits for the one before it: the part of Alone's latency that is work. Frame is the
	// same of the frames that a message is cut into.
	Message float64 `json:"message"`
	Frame   float64 `json:"frame"`
	// Busy is how long a message keeps a whole host busy when all of its ranks swap messages.
	// BusyFirst is the work in it that is no bytes, for the first message of a rank in a round;
	// BusyMessage that of each further one, to or from another rank; BusyFrame that of a frame. Ranks that
	// outnumber the cores take turns, and all ranks of a host share its network: so what they do
	// together takes at least the sum. Empty when it makes no difference.
	Busy        Curve   `json:"busy,omitempty"`
	BusyFirst   float64 `json:"busy_first,omitempty"`
	BusyMessage float64 `json:"busy_message,omitempty"`
	BusyFrame   float64 `json:"busy_frame,omitempty"`
	// Turn is how long a message takes at least when all ranks of a host wait for one, whoever sends:
	// until those who have a core have let go of it.
	Turn float64 `json:"turn,omitempty"`
	// Several is how many times as long a byte keeps a busy host busy when its ranks exchange messages
	// with several ranks at once; 0 is the same as 1.
	Several float64 `json:"several,omitempty"`
}

// Fabric tells the speed of the links of a set of ranks, in two levels: Inner between ranks of one
// host, Outer between ranks of different hosts. The zero Fabric takes no time for anything.
type Fabric struct {
	Inner Links `json:"inner"`
	Outer Links `json:"outer"`
	// Call is what a call takes beyond its messages.
	Call float64 `json:"call,omitempty"`
	// Gamma is the time to reduce a byte; BusyGamma how long that keeps a host busy when all
	// its ranks reduce.
	Gamma     float64 `json:"gamma"`
	BusyGamma float64 `json:"busy_gamma,omitempty"`
	// Copy is what a byte costs that a rank copies inside its memory, of what one costs that is sent
	// inside a host. It is 0 where costs are to be as the literature counts them.
	Copy float64 `json:"copy,omitempty"`
	// Delta, Caches, Forward and Stream are those of Model, inside a host.
	Delta   float64 `json:"delta,omitempty"`
	Caches  float64 `json:"caches,omitempty"`
	Forward float64 `json:"forward,omitempty"`
	Stream  float64 `json:"stream,omitempty"`
}

// Assumed is the fabric in which inner and outer links have one latency and bandwidth each, and
// every rank has a core of its own. With the same model twice, predictions are what Model.Seconds says.
func Assumed(inner, outer Model) Fabric {
	links := func(m Model) Links { return Links{Alone: Line(m.Alpha, m.Beta), Message: m.Alpha, Frame: m.Alpha} }
	return Fabric{
		Inner: links(inner), Outer: links(outer), Gamma: max(inner.Gamma, outer.Gamma),
		Delta: inner.Delta, Caches: inner.Caches, Forward: inner.Forward, Stream: inner.Stream,
	}
}

// Saved is the time of what caches spare in a call inside a host, below 0 where they cost more.
func (f *Fabric) Saved(c Cost) float64 {
	return Model{Delta: f.Delta, Caches: f.Caches, Forward: f.Forward, Stream: f.Stream}.saved(c)
}

// ErrFabric is what the errors of Check are.
var ErrFabric = errors.New("topology: not the speed of anything")

// Check tells whether the fabric can be one: no time is negative, and no curve falls.
func (f *Fabric) Check() error {
	for _, c := range []struct {
		name  string
		curve Curve
	}{
		{"inner.alone", f.Inner.Alone},
		{"inner.busy", f.Inner.Busy},
		{"outer.alone", f.Outer.Alone},
		{"outer.busy", f.Outer.Busy},
	} {
		if err := c.curve.check(); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFabric, c.name, err)
		}
	}
	for _, x := range []float64{
		f.Inner.Message, f.Inner.Frame, f.Inner.BusyFirst, f.Inner.BusyMessage, f.Inner.BusyFrame, f.Inner.Turn, f.Inner.Several,
		f.Outer.Message, f.Outer.Frame, f.Outer.BusyFirst, f.Outer.BusyMessage, f.Outer.BusyFrame, f.Outer.Turn, f.Outer.Several,
		f.Gamma, f.BusyGamma, f.Copy, f.Delta, f.Caches, f.Forward, f.Stream, f.Call,
	} {
		if !finite(x) {
			return fmt.Errorf("%w: a time of %g s", ErrFabric, x)
		}
	}
	return nil
}

// Load is the messages that someone, a rank or a host, has in a round: so many, and their bytes.
type Load struct{ Messages, Bytes float64 }

// Scale returns the load for n bytes of a vector, of which it has a share.
func (l Load) Scale(n float64) Load { return Load{l.Messages, l.Bytes * n} }

// Stream returns how long the messages take a rank that waits for nobody, one after the other. All
// of the call has so many bytes in the memory of a rank.
func (l *Links) Stream(w Load, memory float64) float64 {
	return stream(l.Alone, l.Message, w, memory)
}

// Latency is what a rank waits for a message beyond that.
func (l *Links) Latency() float64 { return max(0, l.Alone.Alpha()-l.Message, l.Turn) }

// BusyStream is Stream for a busy host of so many ranks, of which one has up to most messages at once.
func (l *Links) BusyStream(w Load, ranks, most, memory float64) float64 {
	if most > 1 {
		w.Bytes *= max(1, l.Several)
	}
	first := min(ranks, w.Messages) * max(0, l.BusyFirst-l.BusyMessage)
	return first + stream(l.Busy, l.BusyMessage, w, memory)
}

// stream takes a byte for as slow as the curve has it for such a message, or for one whose two
// buffers are all of the memory.
func stream(c Curve, message float64, w Load, memory float64) float64 {
	if w.Messages == 0 {
		return 0
	}
	each := w.Bytes / w.Messages
	return w.Messages*min(message, c.Alpha()) + w.Bytes*max(c.Rate(each), c.Rate(memory/2))
}
