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
