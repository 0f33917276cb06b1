//go:build linux

package shm

import (
	"context"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// TestSettled: a frame whose sender has not seen that this end parks, and that this end has not seen
// when it did, is found later.
func TestSettled(t *testing.T) {
	var eps [2]*endpoint
	for i := range eps {
		e, err := open(transport.Config{Rank: i, Size: 2, HostID: "host"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		eps[i] = e
	}
	l, err := eps[0].Dial(context.Background(), 1, eps[1].Addresses())
	if err != nil {
		t.Fatal(err)
	}
	a, to := eps[0], l.(*link)
	for l = nil; l == nil; l = eps[1].Accept() {
		runtime.Gosched()
	}
	from := l.(*link)
	fds, ok := a.Prepare(nil)
	for !ok { // the new link has rung
		a.Wait(time.Now())
		fds, ok = a.Prepare(nil)
	}
	if a.Settled() {
		t.Fatal("parked with something to do")
	}
	if to.seg.mine.parked.Swap(0) != parkedForFrames {
		t.Error("the other end has not been told")
	}
	put(t, from, transport.Header{}, []byte{1})
	if n, err := unix.Poll(fds, 0); n != 0 || err != nil {
		t.Fatalf("the sender has seen that this end parks: %v", err)
	}
	if !a.Settled() {
		t.Error("the frame is not found")
	}
	a.Resume(fds)
	if _, got := get(t, to); len(got) != 1 {
		t.Errorf("%d bytes came, want 1", len(got))
	}
}
