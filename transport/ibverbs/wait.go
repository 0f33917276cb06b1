//go:build ibverbs && cgo && linux

package ibverbs

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// Wait parks the calling thread in poll(2), on the completion channel among others.
func (e *endpoint) Wait(deadline time.Time) { e.parking.Wait(deadline) }

var _ transport.Parker = (*endpoint)(nil)

// Prepare appends the descriptors to wait for, unless there is no need to wait. The channel is
// armed before the last look at the completions: what comes after that look is told.
func (e *endpoint) Prepare(fds []unix.PollFd) ([]unix.PollFd, bool) {
	if !e.links.Hold() { // until Resume
		return fds, false
	}
	first := len(fds)
	for _, l := range e.links.Known() {
		l.tellNews()
	}
	e.poll()
	quiet := !e.stirred()
	if quiet && !e.armed {
		if err := e.device.arm(); err != nil {
			e.failAll(err)
		}
		e.armed = true
		e.poll()
		quiet = !e.stirred()
	}
	if !quiet {
		e.turn.Unlock()
		return fds, false
	}
	fds, quiet = e.links.Wakeup.Prepare(fds)
	if !quiet {
		e.Resume(nil)
		return fds[:first], false
	}
	fds = append(fds,
		unix.PollFd{Fd: e.device.channelFD(), Events: unix.POLLIN},
		unix.PollFd{Fd: e.device.asyncFD(), Events: unix.POLLIN},
		unix.PollFd{Fd: int32(e.silence.timer), Events: unix.POLLIN})
	for _, l := range e.links.Known() {
		if !l.ended {
			fds = append(fds, unix.PollFd{Fd: int32(l.fd), Events: unix.POLLIN})
		}
	}
	return fds, true
}

// stirred tells whether a link has something that its caller does not know. What is no longer to be
// read is told once.
func (e *endpoint) stirred() bool {
	stirred := false
	for _, l := range e.links.Known() {
		if l.news || l.in.fresh() {
			l.news, stirred = false, true
		}
	}
	return stirred
}

// Resume ends what Prepare has begun.
func (e *endpoint) Resume(fds []unix.PollFd) {
	defer e.turn.Unlock()
	if len(fds) == 0 {
		e.links.Wakeup.Resume(unix.PollFd{})
		return
	}
	e.links.Wakeup.Resume(fds[0])
	if fds[1].Revents != 0 {
		e.armed = false
		e.device.events()
	}
	if fds[2].Revents != 0 {
		e.happenings()
	}
	i := 4
	for _, l := range e.links.Known() {
		if l.ended {
			continue
		}
		if fds[i].Revents != 0 {
			l.listen()
			l.news = true
		}
		i++
	}
	if fds[3].Revents != 0 {
		e.breakSilence()
	}
}

// happenings takes the events of the device.
func (e *endpoint) happenings() {
	for {
		v, ok := e.device.event()
		if !ok {
			return
		}
		if v.port == 0 || int(v.port) == e.device.number {
			e.happened(v)
		}
	}
}

func (e *endpoint) happened(v event) {
	args := []any{
		"rank", e.c.Rank, "device", e.device.device, "port", e.device.number, "event", v.text,
	}
	switch v.kind {
	case eventPortDown:
		e.log.Warn("ibverbs: the port is down: links break if it stays so", append(args,
			"remedy", portDown)...)
	case eventPortActive:
		e.log.Info("ibverbs: the port is up", args...)
	case eventDevice, eventQueue:
		e.log.Warn("ibverbs: the device has failed", append(args, "remedy", deviceFailed)...)
		e.failAll(&WorkError{
			Device: e.device.device, Port: e.device.number, Status: Fatal,
			PortState: e.device.portState(),
		})
	default:
		e.log.Debug("ibverbs: the device says", append(args, "queue pair", v.qp)...)
	}
}
