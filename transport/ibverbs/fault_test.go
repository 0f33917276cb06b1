//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// TestQueueFull: a device takes no more work requests than its queue has room for. The driver
// counts them; here it does not, and the other end takes nothing.
func TestQueueFull(t *testing.T) {
	p := newCouple(t, nil)
	ibverbs.ForgetCredit(p.links[0])
	ibverbs.ForgetQueue(p.links[0])
	h := transport.Header{Kind: transport.Data}
	var err error
	for err == nil {
		var ok bool
		if ok, err = p.links[0].Send(&h, [2][]byte{}); err == nil && !ok {
			t.Fatal("the ring is full before the queue is")
		}
	}
	t.Logf("the user sees: %v", err)
	var link *transport.LinkError
	var device *ibverbs.DeviceError
	if !errors.As(err, &link) || !errors.As(err, &device) || !errors.Is(err, syscall.ENOMEM) {
		t.Fatalf("the error is %T %v", err, err)
	}
	for _, s := range []string{
		"rank 0", "rank 1", device.Device, "port 1", "ibv_post_send", "report it",
	} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	t.Logf("the other end sees: %v", p.breaks(t, 1))
}

// TestDeviceFails: all links of a device that says it has failed break, and say so; one that is
// being made at that moment is no trouble.
func TestDeviceFails(t *testing.T) {
	p := newCouple(t, nil)
	p.put(t, 1, []byte("before"))
	if got := receiveFrame(t, p.eps[0], p.links[0]); string(got) != "before" {
		t.Fatalf("%q has come", got)
	}
	if err := ibverbs.StartLink(p.eps[0]); err != nil {
		t.Fatal(err)
	}
	ibverbs.FailDevice(p.eps[0])
	err := p.breaks(t, 0)
	t.Logf("the user sees: %v", err)
	var work *ibverbs.WorkError
	if !errors.As(err, &work) || work.Status != ibverbs.Fatal {
		t.Fatalf("the error is %T %v", err, err)
	}
	for _, s := range []string{"rank 0", "rank 1", work.Device, "the device has failed", "dmesg"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
	if strings.Contains(err.Error(), "queue pair") {
		t.Errorf("%q names a queue pair, and it is about all", err)
	}
	t.Logf("the other end sees: %v", p.breaks(t, 1))
}

// TestDestinationCannotBeTakenBack: where the system does not give the pages back there is one way
// left to keep the other end from writing to them.
func TestDestinationCannotBeTakenBack(t *testing.T) {
	const size = 64 << 10
	p := newCouple(t, nil)
	source, dst := p.alloc(t, 0, size), p.alloc(t, 1, size)
	h := header(1, size)
	p.expect(t, 1, h, dst)
	ibverbs.CloseFile(p.eps[1], dst)
	p.links[1].Reclaim()
	copy(source, pattern(size, 1))
	p.send(t, 0, h, source)
	err := p.breaks(t, 1)
	t.Logf("the user sees: %v", err)
	var link *transport.LinkError
	if !errors.As(err, &link) || !errors.Is(err, os.ErrClosed) ||
		!strings.Contains(err.Error(), "can't be taken back") {
		t.Errorf("the error is %T %v", err, err)
	}
	t.Logf("the other end sees: %v", p.breaks(t, 0))
	if !bytes.Equal(dst, make([]byte, size)) {
		t.Error("the other end has written to memory that is the caller's")
	}
}

// TestMessageThatSaysNothing: an end that keeps to another protocol breaks the link.
func TestMessageThatSaysNothing(t *testing.T) {
	p := newCouple(t, nil)
	ibverbs.SayNothing(p.links[0])
	err := p.breaks(t, 1)
	t.Logf("the user sees: %v", err)
	var frame *transport.FrameError
	if !errors.As(err, &frame) || !strings.Contains(err.Error(), "same version") {
		t.Errorf("the error is %T %v", err, err)
	}
	for begin := time.Now(); ; p.eps[0].Wait(time.Now().Add(time.Second)) {
		if _, err := p.links[0].Next(); err != nil {
			t.Logf("the other end sees: %v, after %v", err, time.Since(begin))
			return
		}
	}
}
