//go:build ibverbs && cgo && linux

package ibverbs

// #include "shim.h"
import "C"

import (
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// silentLooks is after how many looks a link counts as broken of which the device has got nothing
// through since the first. That is some time after a card has given up by itself.
const silentLooks = 4

// slowest is what is taken for a link that works, in bytes a second: a device tells of a long
// message only when all of it is through.
const slowest = 256 << 10

// silence says when to look whether the device gets through what it was given: soft RoCE tries for
// ever. Its descriptor is among those that a parked thread waits for.
type silence struct {
	timer int
	every time.Duration
	count [8]byte // what the descriptor says
}

// open has the descriptor become readable every so often.
func (s *silence) open(every time.Duration) (err error) {
	s.every = max(every, time.Millisecond)
	s.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	at := unix.NsecToTimespec(s.every.Nanoseconds())
	err = unix.TimerfdSettime(s.timer, 0, &unix.ItimerSpec{Interval: at, Value: at}, nil)
	if err != nil {
		return errors.Join(os.NewSyscallError("timerfd_settime", err), s.close())
	}
	return nil
}

func (s *silence) close() error { return os.NewSyscallError("close", unix.Close(s.timer)) }

// due tells whether it is time for a look.
func (s *silence) due() bool {
	n, err := unix.Read(s.timer, s.count[:])
	return err == nil && n == len(s.count) && binary.NativeEndian.Uint64(s.count[:]) > 0
}

// breakSilence breaks the links that get nothing through, if it is time for a look. The turn is
// held.
func (e *endpoint) breakSilence() {
	if !e.silence.due() {
		return
	}
	for _, l := range e.links.Known() {
		l.breakSilence(e.silence.every)
	}
	for i := len(e.leaving) - 1; i >= 0; i-- { // those that leave go from the list
		e.leaving[i].breakSilence(e.silence.every)
	}
}

func (l *link) breakSilence(every time.Duration) {
	if l.ended || l.cause != nil || !l.out.stuck(every) {
		return
	}
	d := l.at.device
	l.fail(&WorkError{
		Device: d.device, Port: d.number, QP: l.queue.number, Status: RetryExceeded,
		PortState: d.portState(),
	})
	if l.leaving {
		l.leaveQuietly()
	}
}

// stuck tells, at a look, whether nothing has got through for silentLooks of them, and the time
// that what is under way may take besides.
func (s *sender) stuck(every time.Duration) bool {
	switch {
	case s.posted == s.ended || s.came != s.looked:
		s.silent = 0
	case s.came < s.marked:
		s.silent++
	case s.err == nil && s.slots() >= 2:
		s.probe()
	}
	s.looked = s.came
	underWay := time.Duration((s.flying+s.size)/slowest) * time.Second
	return time.Duration(s.silent)*every >= silentLooks*every+underWay
}

// probe writes no bytes, and is heard of: so is then the end of all before it. It takes no receive
// of the other end's.
func (s *sender) probe() {
	w := s.next()
	w.opcode, w.immediate = opQuietWrite, 0
	w.remote, w.rkey = C.uint64_t(s.ring), C.uint32_t(s.key)
	s.post(w, true)
	s.flush()
}
