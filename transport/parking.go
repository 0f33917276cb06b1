//go:build linux || darwin

package transport

import (
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

// Parking waits for one endpoint or for several at once.
type Parking struct {
	mu   sync.Mutex // who takes the turn from one that is parked begins by waiting for it
	all  []Parker
	fds  []unix.PollFd
	ends []int // where in fds those of each endpoint end
}

// NewParking returns the Wait of these endpoints together.
func NewParking(all ...Parker) *Parking {
	return &Parking{all: all, ends: make([]int, 0, len(all))}
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
	if ready {
		p.poll(deadline)
	}
	at := 0
	for i, end := range p.ends {
		p.all[i].Resume(p.fds[at:end])
		at = end
	}
}

func (p *Parking) poll(deadline time.Time) {
	for {
		left := time.Duration(-1)
		if !deadline.IsZero() {
			left = max(0, time.Until(deadline))
		}
		if _, err := Poll(p.fds, left); err != unix.EINTR {
			return
		}
	}
}
