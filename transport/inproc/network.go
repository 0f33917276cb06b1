package inproc

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// Options is what a Network is made with. The zero value is a perfect network.
type Options struct {
	// Seed is where all jitter comes from.
	Seed uint64
	// Delivered, if not nil, is told of every frame that conditions have delayed, when it arrives:
	// by one goroutine at a time, in the order of arrival. It must not call the Network.
	Delivered func(Delivery)
}

// Delivery is the arrival of a frame.
type Delivery struct {
	At       time.Time
	From, To int    // ranks
	Link     int    // which of the links that were opened between the two, from 0
	Frame    uint64 // which frame of this direction of the link, from 0
	Bytes    int    // of payload
}

// Network ties goroutine ranks together. All its methods can be called by any goroutine.
type Network struct {
	options Options
	clock   schedule

	mu         sync.Mutex
	endpoints  map[place]*Endpoint
	conditions map[direction]LinkConditions
	pauses     map[int]time.Duration
	lanes      map[direction][]*lane
	links      map[direction]int // how many were opened, by the lower and the higher rank
	changed    chan struct{}     // closed when conditions change
}

// place is where an endpoint is: one for each rank of a job.
type place struct {
	job  string
	rank int
}

// direction is one of the two between two ranks.
type direction struct{ from, to int }

// NewNetwork returns a network without endpoints.
func NewNetwork(o Options) *Network {
	n := &Network{
		options: o, endpoints: map[place]*Endpoint{}, conditions: map[direction]LinkConditions{},
		pauses: map[int]time.Duration{}, lanes: map[direction][]*lane{},
		links: map[direction]int{}, changed: make(chan struct{}),
	}
	n.clock.delivered = o.Delivered
	return n
}

// Driver returns the driver whose endpoints are attached to this network.
func (n *Network) Driver() transport.Driver { return driver{n} }

type driver struct{ network *Network }

func (driver) Name() string { return "inproc" }

// Open attaches a rank: an error where the rank is attached already.
func (d driver) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	fail := func(cause error, remedy string) (transport.Endpoint, error) {
		return nil, &transport.LinkError{
			Phase: "listen", Rank: c.Rank, Peer: -1, Address: "inproc", Err: cause, Remedy: remedy,
		}
	}
	if err := ctx.Err(); err != nil {
		return fail(err, "")
	}
	if c.Size <= 0 || c.Rank < 0 || c.Rank >= c.Size {
		return fail(fmt.Errorf("rank %d of %d is not possible", c.Rank, c.Size),
			"number the ranks from 0 to the number of ranks less one")
	}
	if len(c.Job) > maxJob {
		return fail(fmt.Errorf("the job's name has %d bytes", len(c.Job)), "choose a shorter name")
	}
	e := newEndpoint(d.network, c)
	n := d.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[e.place] != nil {
		return fail(fmt.Errorf("rank %d of job %q has an endpoint already", c.Rank, c.Job),
			"give every rank a number of its own, or close the old endpoint first")
	}
	n.endpoints[e.place] = e
	e.log.Info("attached", "driver", "inproc", "rank", c.Rank, "size", c.Size, "job", c.Job)
	return e, nil
}

const (
	addressMagic = "inproc\x001"
	maxJob       = 255
)

// An address: the magic, the number of the endpoint (8), the rank (4), the job. The number tells a
// rank that has come back from the one before it.
func (e *Endpoint) address() []byte {
	b := binary.LittleEndian.AppendUint64([]byte(addressMagic), e.number)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.place.rank))
	return append(b, e.place.job...)
}

var endpointNumbers atomic.Uint64

var errNone = fmt.Errorf("no such endpoint, or %w", transport.ErrClosed)

// lookup finds the endpoint that peer must be, and refuses what the ends of a connection between
// processes would refuse each other.
func (n *Network) lookup(self *Endpoint, peer int, address []byte) (*Endpoint, error) {
	differ := func(r transport.HelloReason, here, there any) error {
		return &transport.HelloError{
			Reason: r, Peer: peer, Here: fmt.Sprint(here), There: fmt.Sprint(there),
		}
	}
	rest, ours := bytes.CutPrefix(address, []byte(addressMagic))
	if !ours || len(rest) < 12 || len(rest) > 12+maxJob {
		return nil, differ(transport.HelloGarbage, "", fmt.Sprintf("%q", address[:min(len(address), 32)]))
	}
	number := binary.LittleEndian.Uint64(rest)
	rank, job := binary.LittleEndian.Uint32(rest[8:]), string(rest[12:])
	switch {
	case peer < 0 || peer >= self.size:
		return nil, differ(transport.HelloRange, fmt.Sprint("0 to ", self.size-1), peer)
	case peer == self.place.rank:
		return nil, differ(transport.HelloSelf, peer, peer)
	case job != self.place.job:
		return nil, differ(transport.HelloJob, fmt.Sprintf("%q", self.place.job), fmt.Sprintf("%q", job))
	case int64(rank) != int64(peer):
		return nil, differ(transport.HelloTarget, rank, peer)
	}
	other := n.endpoints[place{job, peer}]
	switch {
	case other == nil || other.number != number:
		return nil, errNone
	case other.size != self.size:
		return nil, differ(transport.HelloSize, self.size, other.size)
	case len(self.secret) > 0 && len(other.secret) == 0:
		return nil, differ(transport.HelloSecretHere, "", "")
	case len(self.secret) == 0 && len(other.secret) > 0:
		return nil, differ(transport.HelloSecretThere, "", "")
	case subtle.ConstantTimeCompare(self.secret, other.secret) != 1:
		return nil, differ(transport.HelloWrongSecret, "", "")
	}
	return other, nil
}

// weather is what a Dial between the two ranks meets: how long a question and its answer take, what
// is wrong, and a channel that is closed when that changes.
func (n *Network) weather(self, peer int) (time.Duration, Fault, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	there, back := n.conditions[direction{self, peer}], n.conditions[direction{peer, self}]
	return there.Delay + back.Delay, max(there.Fault, back.Fault), n.changed
}

// connect makes a link of both endpoints.
func (n *Network) connect(self *Endpoint, peer int, address []byte) (*Link, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	other, err := n.lookup(self, peer, address)
	if err != nil {
		return nil, err
	}
	there, back := direction{self.place.rank, peer}, direction{peer, self.place.rank}
	both := direction{min(there.from, there.to), max(there.from, there.to)}
	ordinal := n.links[both]
	n.links[both]++
	out := newLane(n, there, ordinal, self, other)
	in := newLane(n, back, ordinal, other, self)
	for _, l := range []*lane{out, in} {
		n.lanes[l.direction] = append(n.lanes[l.direction], l)
		l.setConditions(n.conditions[l.direction], n.pauses[l.to.place.rank])
	}
	mine, theirs := newLink(self, other, out, in), newLink(other, self, in, out)
	if !self.adopt(mine, false) {
		n.forget(out, in)
		return nil, transport.ErrClosed
	}
	if !other.adopt(theirs, true) {
		self.drop(mine)
		n.forget(out, in)
		return nil, errNone
	}
	return mine, nil
}

// forget drops the lanes of a closed link. The caller has locked n.
func (n *Network) forget(lanes ...*lane) {
	for _, l := range lanes {
		list := slices.DeleteFunc(n.lanes[l.direction], func(o *lane) bool { return o == l })
		if n.lanes[l.direction] = list; len(list) == 0 {
			delete(n.lanes, l.direction)
		}
	}
}

// detach takes a closed endpoint off the network.
func (n *Network) detach(e *Endpoint) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.endpoints[e.place] == e {
		delete(n.endpoints, e.place)
	}
}

// remedy is what a person can do about a failed Dial.
func remedy(err error) string {
	var hello *transport.HelloError
	switch {
	case errors.As(err, &hello):
		return hello.Remedy()
	case errors.Is(err, errNone):
		return "open the endpoint of that rank on the same Network first"
	case errors.Is(err, ErrCut):
		return "heal the link"
	}
	return ""
}
