//go:build linux || darwin

package transport

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Parker is an endpoint whose Wait is poll(2) on descriptors, so that one call can wait for several
// endpoints: this is how Parking waits. It is beside the contract; an endpoint need not be one.
type Parker interface {
	// Prepare begins a Wait. It appends what to poll for to fds and keeps the turn until Resume;
	// false, without the turn, says that Wait would return at once.
	Prepare(fds []unix.PollFd) ([]unix.PollFd, bool)
	// Resume ends the Wait. fds are those that Prepare has appended, as poll has left them.
	Resume(fds []unix.PollFd)
}

// Settler is a Parker whose Prepare may miss what others have written just before.
type Settler interface {
	Parker
	// Settled looks once more, between Prepare and Resume, and reports whether Wait is to return. It is asked
	// when what was written before Prepare must have become visible.
	Settled() bool
}

// settling is how long what one processor has written may take to become visible to others, by far: that is a
// matter of nanoseconds. A Wait that is longer costs one more call of poll for it.
const settling = 500 * time.Microsecond

// Parking waits for one endpoint or for several at once.
type Parking struct {
	mu   sync.Mutex // who takes the turn from one that is parked begins by waiting for it
	all  []Parker
	late []Settler // those of all that are
	fds  []unix.PollFd
	ends []int // where in fds those of each endpoint end
}

// NewParking returns the Wait of these endpoints together.
func NewParking(all ...Parker) *Parking {
	p := &Parking{all: all, ends: make([]int, 0, len(all))}
	for _, k := range all {
		if s, ok := k.(Settler); ok {
			p.late = append(p.late, s)
		}
	}
	return p
}

// Wait parks the calling thread until any of the endpoints' own Wait would return: that wakes
// faster than a goroutine parked in Go's network poller does, since no other thread stands between
// (BenchmarkParked of package zmq has both).
func (p *Parking) Wait(deadline time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fds, p.ends = p.fds[:0], p.ends[:0]
	ready := true
	for _, k := range p.all {
		if p.fds, ready = k.Prepare(p.fds); !ready {
			break
		}
		p.ends = append(p.ends, len(p.fds))
	}
	if ready && !p.settle(deadline) {
		p.poll(deadline)
	}
	at := 0
	for i, end := range p.ends {
		p.all[i].Resume(p.fds[at:end])
		at = end
	}
}

// settle waits until the Settlers can be sure of what they see, and reports whether Wait is to return.
func (p *Parking) settle(deadline time.Time) bool {
	if len(p.late) == 0 {
		return false
	}
	end := time.Now().Add(settling)
	if !deadline.IsZero() && deadline.Before(end) {
		return false // it returns as soon
	}
	return p.poll(end) || slices.ContainsFunc(p.late, Settler.Settled)
}

// poll reports whether one of the descriptors has something.
func (p *Parking) poll(deadline time.Time) bool {
	for {
		left := time.Duration(-1)
		if !deadline.IsZero() {
			left = max(0, time.Until(deadline))
		}
		if n, err := Poll(p.fds, left); err != unix.EINTR {
			return n != 0 // what is wrong with a descriptor, its endpoint finds
		}
	}
}
