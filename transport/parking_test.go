//go:build linux || darwin

package transport

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fake is an endpoint that is parked on a pipe.
type fake struct {
	t        *testing.T
	r, w     int
	ready    bool // Prepare says that there is something to do
	prepared bool
	heard    bool
}

func newFake(t *testing.T) *fake {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			if err := unix.Close(fd); err != nil {
				t.Error(err)
			}
		}
	})
	return &fake{t: t, r: fds[0], w: fds[1]}
}

func (f *fake) Prepare(fds []unix.PollFd) ([]unix.PollFd, bool) {
	if f.ready {
		return fds, false
	}
	f.prepared = true
	return append(fds, unix.PollFd{Fd: int32(f.r), Events: unix.POLLIN}), true
}

func (f *fake) Resume(fds []unix.PollFd) {
	if !f.prepared || len(fds) != 1 || fds[0].Fd != int32(f.r) {
		f.t.Errorf("resumed with %v, prepared %v", fds, f.prepared)
		return
	}
	f.prepared, f.heard = false, fds[0].Revents != 0
}

// late is an endpoint that finds, when it looks again, what it has missed.
type late struct {
	*fake
	missed bool
	looks  int
}

func (l *late) Settled() bool {
	if !l.prepared {
		l.t.Error("asked while it is not prepared")
	}
	l.looks++
	return l.missed
}

// TestParkingLooksAgain: what Prepare has missed ends a Wait that nothing else would end; one that a descriptor
// ends, or a deadline soon, needs no second look.
func TestParkingLooksAgain(t *testing.T) {
	first, second := &late{fake: newFake(t)}, &late{fake: newFake(t), missed: true}
	p := NewParking(newFake(t), first, second)
	p.Wait(time.Time{})
	if first.looks != 1 || second.looks != 1 || first.prepared || second.prepared {
		t.Errorf("%d and %d looks, prepared %v and %v", first.looks, second.looks, first.prepared, second.prepared)
	}
	p.Wait(time.Now())
	if first.looks != 1 {
		t.Error("it looks again before a deadline that has come")
	}
	second.missed = false
	begin := time.Now()
	p.Wait(begin.Add(2 * settling))
	if first.looks != 2 || time.Since(begin) < 2*settling {
		t.Errorf("%d looks, back after %v", first.looks, time.Since(begin))
	}
	if _, err := unix.Write(first.w, []byte{1}); err != nil {
		t.Fatal(err)
	}
	p.Wait(time.Time{})
	if first.looks != 2 || !first.heard {
		t.Errorf("%d looks, heard %v", first.looks, first.heard)
	}
}

// TestParkingWaitsForAll: whichever of the endpoints has something ends the Wait, and each gets its
// own descriptors back.
func TestParkingWaitsForAll(t *testing.T) {
	all := []*fake{newFake(t), newFake(t), newFake(t)}
	p := NewParking(all[0], all[1], all[2])
	for _, f := range all {
		if _, err := unix.Write(f.w, []byte{1}); err != nil {
			t.Fatal(err)
		}
		p.Wait(time.Time{})
		for i, g := range all {
			if g.heard != (g == f) || g.prepared {
				t.Errorf("endpoint %d: heard %v, prepared %v", i, g.heard, g.prepared)
			}
		}
		if _, err := unix.Read(f.r, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range all {
		f.ready = true
		p.Wait(time.Time{})
		f.ready = false
	}
	p.Wait(time.Now())
	p.Wait(time.Now().Add(time.Millisecond))
	for i, f := range all {
		if f.prepared || f.heard {
			t.Errorf("endpoint %d: heard %v, prepared %v", i, f.heard, f.prepared)
		}
	}
}
