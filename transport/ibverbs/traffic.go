//go:build ibverbs && cgo && linux

package ibverbs

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// The numbers of work requests: the link in the upper half, and what it was in the lower.
const (
	forSends    = 0
	forReceives = 1
)

func workID(link uint32, what uint64) uint64 { return uint64(link)<<32 | what }

// poll takes all completions there are, those of other links too. The turn is held.
func (e *endpoint) poll() {
	if e.device.queue == nil {
		return
	}
	e.polling.Lock()
	defer e.polling.Unlock()
	for {
		done, err := e.device.poll()
		if err != nil {
			e.failAll(err)
			return
		}
		table := *e.table.Load()
		for i := range done {
			c := &done[i]
			if l := table[uint32(c.id>>32)]; l != nil {
				l.completed(c)
			}
		}
		for i := range done {
			if l := table[uint32(done[i].id>>32)]; l != nil {
				l.settle()
			}
		}
		if len(done) < batch {
			e.rest(len(done))
			return
		}
	}
}

// restAfter is how many polls that find nothing it takes until the core is offered to others.
const restAfter = 128

// rest offers the core from time to time: a device that is software may need this one.
func (e *endpoint) rest(found int) {
	if e.idle++; found > 0 {
		e.idle = 0
	}
	if e.idle >= restAfter {
		e.idle = 0
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // never fails (sched_yield(2))
	}
}

// failAll breaks all links.
func (e *endpoint) failAll(err error) {
	for _, l := range *e.table.Load() {
		if l != nil { // it has a number, and a dial or a welcome is about to make it
			l.fail(err)
		}
	}
}

// completed notes one completion.
func (l *link) completed(c *completion) {
	if s := Status(c.status); s != Success {
		l.failed(s, uint32(c.vendor))
		return
	}
	if uint32(c.id) == forSends {
		lent := l.out.loaned > l.out.repaid
		l.out.complete()
		l.news = l.news || l.out.short || lent
		if l.leaving && l.out.came == l.out.marked {
			l.leaveQuietly()
		}
		return
	}
	l.owed++
	immediate := uint32(c.immediate)
	switch {
	case c.says == 0:
		l.fail(&transport.FrameError{
			Field: "immediates of a message", Got: 0, Want: "1",
		})
	case immediate == goodbye:
		l.out.closed, l.ended, l.news = true, true, true
	case immediate&tellBit != 0:
		if err := l.out.hear(unpackTell(immediate)); err != nil {
			l.fail(err)
		}
		l.news = l.news || l.out.short
	case immediate&boardBit != 0:
		_, places := unpackBoard(immediate)
		l.in.came++
		l.in.placesRead += uint64(places)
		board := l.ring.bytes[boardAt(l.in.size, 0):]
		if err := l.out.offers.take(immediate, board, l.at.c.MaxPayload); err != nil {
			l.fail(err)
		}
	default:
		l.in.arrive(immediate)
		l.in.came++
	}
}

// failed notes that the device has given the queue pair up.
func (l *link) failed(s Status, vendor uint32) {
	if l.gone {
		return
	}
	d := l.at.device
	if l.cause == nil || s != Flushed {
		l.fail(&WorkError{
			Device: d.device, Port: d.number, QP: l.queue.number, Status: s, Vendor: vendor,
			PortState: d.portState(),
		})
	}
	if l.leaving {
		l.leaveQuietly()
	}
}

// leaveQuietly is leave where nobody asks.
func (l *link) leaveQuietly() {
	if err := l.leave(); err != nil {
		l.at.log.Warn("ibverbs: closing", "link", l, "error", err, "remedy", remedy(err))
	}
	l.at.left(l)
}

// settle does what completions have made possible: it posts receives again, tells the other end of
// room, and moves along what is unfinished.
func (l *link) settle() {
	if l.gone || l.ended {
		return
	}
	if l.owed >= owedMax {
		if err := l.queue.receive(l.owed); err != nil {
			l.fail(fmt.Errorf("room for messages: %w", err))
			return
		}
		l.owed = 0
	}
	if l.closed {
		return
	}
	l.tell()
	l.tellWithdrawn()
	if l.out.busy {
		l.out.push()
	}
}
