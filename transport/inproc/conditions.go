package inproc

import (
	"errors"
	"time"
)

// ErrCut is the cause of the errors of a link that the network has cut.
var ErrCut = errors.New("the connection was lost")

// Fault is what is wrong with one direction between two ranks.
type Fault uint8

const (
	// Healthy is nothing.
	Healthy Fault = iota
	// Silent holds back all frames and tells nobody. They arrive after it has ended.
	Silent
	// Broken ends the links at once: frames that have not arrived are lost, and both ends get
	// errors that wrap ErrCut. Dial fails while it lasts.
	Broken
)

// LinkConditions is how one direction between two ranks behaves.
type LinkConditions struct {
	// Delay is what every frame takes, Jitter what it takes at random on top, from 0 to Jitter.
	Delay, Jitter time.Duration
	// Bandwidth is how many bytes of payload a second pass; 0 is no limit.
	Bandwidth int64
	Fault     Fault
}

// SetLink sets the conditions of the direction from one rank to another, for links that exist and
// for those to come. Frames under way keep the time of arrival they have.
func (n *Network) SetLink(from, to int, c LinkConditions) {
	n.change(direction{from, to}, func(old *LinkConditions) { *old = c })
}

// Cut breaks both directions between two ranks: a lost connection.
func (n *Network) Cut(a, b int) { n.fault(a, b, Broken) }

// Silence lets nothing pass between two ranks, and tells neither: a pulled cable.
func (n *Network) Silence(a, b int) { n.fault(a, b, Silent) }

// Heal ends the faults in both directions between two ranks. What was silent goes on; what was
// broken has to be dialled again.
func (n *Network) Heal(a, b int) { n.fault(a, b, Healthy) }

func (n *Network) fault(a, b int, f Fault) {
	for _, d := range []direction{{a, b}, {b, a}} {
		n.change(d, func(c *LinkConditions) { c.Fault = f })
	}
}

// Partition silences all pairs of ranks that are in different sets. Ranks in none of the sets keep
// all their links. Heal joins two ranks again, HealAll all.
func (n *Network) Partition(sets ...[]int) {
	for i, set := range sets {
		for _, other := range sets[i+1:] {
			for _, a := range set {
				for _, b := range other {
					n.Silence(a, b)
				}
			}
		}
	}
}

// HealAll ends all faults. Delays and limits stay.
func (n *Network) HealAll() {
	n.mu.Lock()
	var sick []direction
	for d, c := range n.conditions {
		if c.Fault != Healthy {
			sick = append(sick, d)
		}
	}
	n.mu.Unlock()
	for _, d := range sick {
		n.change(d, func(c *LinkConditions) { c.Fault = Healthy })
	}
}

// SlowReceiver makes a rank slow to take frames: on each of its links, a frame arrives when at
// least pause has passed since the one before it was taken. 0 ends that.
func (n *Network) SlowReceiver(rank int, pause time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pauses[rank] = pause
	for d, lanes := range n.lanes {
		if d.to == rank {
			for _, l := range lanes {
				l.setConditions(n.conditions[d], pause)
			}
		}
	}
}

func (n *Network) change(d direction, edit func(*LinkConditions)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.conditions[d]
	edit(&c)
	n.conditions[d] = c
	for _, l := range n.lanes[d] {
		l.setConditions(c, n.pauses[d.to])
	}
	close(n.changed)
	n.changed = make(chan struct{})
}
