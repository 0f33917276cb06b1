//go:build linux || darwin

package zmq

import (
	"context"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// What was taken arrives at a peer that reads late, although the peer sends to who is closing:
// without lingering its frame would reset the connection, and with it what waits in the system.
func TestLingersForALateReader(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	log := newLines()
	var eps [2]transport.Endpoint
	for r := range eps {
		c := transport.Config{
			Rank: r, Size: 2, Job: "linger", HostID: "here", Linger: time.Minute, Logger: log.logger(),
		}
		ep, err := New(TCP).Open(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		defer ep.Close()
		eps[r] = ep
	}
	out, err := eps[0].Dial(ctx, 1, eps[1].Addresses())
	if err != nil {
		t.Fatal(err)
	}
	sent := fill(t, out)
	closed := make(chan error, 1)
	go func() { closed <- eps[0].Close() }()
	log.await(t, 1, "peers have yet to read")

	eps[1].Wait(time.Time{})
	in := eps[1].Accept()
	if in == nil {
		t.Fatal("no link has come")
	}
	h := data(0)
	if _, err := in.Send(&h, [2][]byte{}); err != nil {
		t.Fatal(err)
	}
	if got := drained(eps[1], in); got != sent {
		t.Errorf("%d of %d frames arrived", got, sent)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// fill sends frames until the link takes no more.
func fill(t *testing.T, l transport.Link) (sent int) {
	t.Helper()
	payload := make([]byte, testPayload)
	for {
		h := data(uint64(sent))
		h.Length = uint32(len(payload))
		ok, err := l.Send(&h, [2][]byte{payload})
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return sent
		}
		sent++
	}
}

// drained counts the frames that a link brings before it ends.
func drained(ep transport.Endpoint, l transport.Link) (frames int) {
	sink := make([]byte, testPayload)
	for {
		h, err := l.Next()
		if err != nil {
			return frames
		}
		if h == nil {
			ep.Wait(time.Time{})
			continue
		}
		for left := int(h.Length); left > 0; {
			n, err := l.Read(sink[:left])
			if err != nil {
				return frames
			}
			if left -= n; n == 0 {
				ep.Wait(time.Time{})
			}
		}
		frames++
	}
}
