//go:build linux || darwin

package zmq

import (
	"sync"
	"testing"
	"time"
)

func TestWaitDoesNotAllocate(t *testing.T) {
	a, b := rank(t, IPC, 0, nil), rank(t, IPC, 1, nil)
	if _, err := a.Dial(t.Context(), 1, b.Addresses()); err != nil {
		t.Fatal(err)
	}
	l := acceptFrom(t, b, 0)
	if h, err := l.Next(); h != nil || err != nil {
		t.Fatal(h, err)
	}
	if n := testing.AllocsPerRun(100, func() {
		b.Wait(time.Now().Add(time.Microsecond))
		b.Wake()
		b.Wait(time.Time{})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestWakeRacesWithWait: every Wake is followed by an answer that needs a Wait to end. A lost one
// shows as a test that does not end.
func TestWakeRacesWithWait(t *testing.T) {
	e := rank(t, IPC, 0, nil)
	const n = 5000
	turns := make(chan struct{}, 1)
	var waker sync.WaitGroup
	waker.Go(func() {
		for range n {
			e.Wake()
			<-turns
		}
	})
	for range n {
		e.Wait(time.Time{})
		turns <- struct{}{}
	}
	waker.Wait()
}

// TestBrokenLinksDoNotKeepWaitAwake: once its error is told, a broken link is no reason to return.
func TestBrokenLinksDoNotKeepWaitAwake(t *testing.T) {
	for _, m := range []Mode{TCP, IPC} {
		a, b := rank(t, m, 0, nil), rank(t, m, 1, nil)
		l, err := a.Dial(t.Context(), 1, b.Addresses())
		if err != nil {
			t.Fatal(err)
		}
		victim := acceptFrom(t, b, 0)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var told error
		for told == nil {
			b.Wait(time.Time{})
			_, told = victim.Next()
		}
		fds, park := b.Prepare(nil)
		if !park || len(fds) != 1 {
			t.Fatalf("%v: %d descriptors to wait for after %v", m, len(fds), told)
		}
		b.Resume(fds)
	}
}

// TestUnaskedBytes goes through what Wait must not park over.
func TestUnaskedBytes(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	fresh := func(want bool, after string) {
		t.Helper()
		if got := l.in.fresh(); got != want {
			t.Fatalf("after %s: %v, want %v", after, got, want)
		}
	}
	frame := wire(data(1), make([]byte, 100), false)
	write(t, fd, append(append(frame, wire(data(2), nil, false)...), frame[:30]...))
	fresh(false, "nothing was read")
	if h, err := l.Next(); h == nil || err != nil {
		t.Fatal(h, err)
	}
	fresh(true, "the header was shown, not its payload")
	if n, err := l.Read(make([]byte, 10)); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	fresh(true, "a part of the payload was read")
	if b, err := l.Peek(); len(b) != 90 || err != nil {
		t.Fatal(b, err)
	}
	fresh(false, "the rest was shown")
	l.Discard(50)
	fresh(false, "a part of what was shown was taken")
	l.Discard(40)
	fresh(true, "the payload was taken, and a frame follows")
	if h, err := l.Next(); h == nil || h.Seq != 2 || err != nil {
		t.Fatal(h, err)
	}
	fresh(true, "an empty frame was shown, and bytes follow")
	if h, err := l.Next(); h != nil || err != nil {
		t.Fatal(h, err)
	}
	fresh(false, "the bytes were found to be no whole header")
	write(t, fd, frame[30:])
	if h, err := l.Next(); h == nil || err != nil {
		t.Fatal(h, err)
	}
	if n, err := l.Read(make([]byte, 100)); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	fresh(false, "all was read")
}
