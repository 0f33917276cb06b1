//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// lose has the wire lose a share of the packets, each way, until the test ends. A machine that was
// started with a loss keeps that.
func lose(t *testing.T, share string) {
	t.Helper()
	for i := range 2 {
		wire := fmt.Sprint("v", i)
		qdisc := func(do string, args ...string) error {
			args = append([]string{"qdisc", do, "dev", wire, "root"}, args...)
			out, err := exec.Command("/sbin/tc", args...).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("tc %v: %w: %s", args, err, out)
			}
			return err
		}
		err := qdisc("add", "netem", "loss", share, "limit", "100000")
		switch {
		case err == nil:
			t.Cleanup(func() {
				if err := qdisc("del"); err != nil {
					t.Error(err)
				}
			})
		case !strings.Contains(err.Error(), "File exists"):
			t.Fatal(err)
		}
	}
}

// TestSilentWire: when the wire loses everything, and nobody says so, the link breaks, also when
// all that was sent is a message that nobody would hear of; the connection of the two processes
// goes another way and is as it was.
func TestSilentWire(t *testing.T) {
	onWire(t)
	for _, size := range []int{0, 200_000} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			p := newCouple(t, nil, ibverbs.Retry(500*time.Millisecond))
			payload := p.alloc(t, 0, 200_000)[:size]
			lose(t, "100%")
			begin := time.Now()
			p.put(t, 0, payload)
			err := p.breaks(t, 0)
			t.Logf("after %v", time.Since(begin))
			checkError(t, err, ibverbs.RetryExceeded, "does not answer", "4791")
			t.Logf("the other end sees: %v", p.breaks(t, 1))
		})
	}
}

// TestBusyPeerIsNotSilent: an end whose process does something else for long is no silent one, as
// its device answers, and what finds that out takes nothing that frames need.
func TestBusyPeerIsNotSilent(t *testing.T) {
	onWire(t)
	const frames = 30
	p := newCouple(t, nil, ibverbs.Retry(50*time.Millisecond))
	for i := range frames {
		p.put(t, 0, []byte{byte(i)})
		for until := time.Now().Add(200 * time.Millisecond); time.Now().Before(until); {
			p.eps[0].Wait(until)
		}
	}
	for i := range frames {
		if got := receiveFrame(t, p.eps[1], p.links[1]); len(got) != 1 || got[0] != byte(i) {
			t.Fatalf("frame %d comes as %v", i, got)
		}
	}
	if n := ibverbs.Posted(p.links[0]); n <= frames || n > 3*frames {
		t.Errorf("%d messages for %d frames, want some to find out, one for each or so", n, frames)
	}
}

// TestLostPackets: what the wire loses the devices send again, and no frame is lost, comes twice or
// is another: short ones, those that go through the ring, and those with a destination.
func TestLostPackets(t *testing.T) {
	onWire(t)
	p := newCouple(t, nil)
	var memory [2][]byte
	for i := range memory {
		memory[i] = p.alloc(t, i, 100_000)
	}
	lose(t, "1%")
	before, begin, bytesSent := counters(t), time.Now(), 0
	for i := range 15 {
		for from := range p.links {
			for k, size := range []int{64, 4096, 50_000, 100_000} {
				h := header(100*i+10*from+k, size)
				out, in := memory[from][:size], make([]byte, size)
				if size == len(memory[from]) {
					in = memory[1-from]
					if i%2 == 0 {
						p.expect(t, 1-from, h, in)
					}
				}
				want := pattern(size, byte(i+k+from))
				copy(out, want)
				p.send(t, from, h, out)
				if got := p.head(t, 1-from); *got != *h {
					t.Fatalf("%+v has come, want %+v", *got, *h)
				}
				p.readAll(t, 1-from, in)
				if !bytes.Equal(in, want) {
					t.Fatalf("the payload of %+v has come as another", *h)
				}
				p.until(t, func() bool {
					n, err := p.links[from].Sent()
					if err != nil {
						t.Fatal(err)
					}
					return n == uint64(4*i+k+1)
				})
				bytesSent += size + transport.HeaderBytes
			}
		}
	}
	trouble := counters(t).again - before.again
	t.Logf("%d bytes in %v, %d events of trouble", bytesSent, time.Since(begin), trouble)
	if trouble == 0 {
		t.Error("nothing was lost")
	}
}
