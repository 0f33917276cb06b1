//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// couple is two ranks with a link between them.
type couple struct {
	eps   [2]transport.Endpoint
	links [2]transport.Link
	sent  uint64       // frames by both
	parks atomic.Int64 // how often both have waited
	polls bool         // they never park
}

func newCouple(t testing.TB, log *slog.Logger, options ...ibverbs.Option) *couple {
	t.Helper()
	p := &couple{}
	for i := range p.eps {
		p.eps[i] = start(t, transport.Config{
			Rank: i, Size: 2, Job: t.Name(), Interface: deviceOf(i), Logger: log,
			Linger: 100 * time.Millisecond, // some peers are beyond acknowledging
		}, options...)
	}
	p.connect(t)
	return p
}

func (p *couple) connect(t testing.TB) {
	t.Helper()
	l, err := p.eps[0].Dial(context.Background(), 1, p.eps[1].Addresses())
	if err != nil {
		t.Fatal(err)
	}
	p.links[0] = l
	for p.links[1] == nil {
		if a := p.eps[1].Accept(); a != nil {
			p.links[1] = a
			break
		}
		p.eps[1].Wait(time.Time{})
	}
}

// put sends a frame that must be taken.
func (p *couple) put(t *testing.T, from int, payload []byte) {
	t.Helper()
	h := transport.Header{Kind: transport.Data, Length: uint32(len(payload))}
	for {
		ok, err := p.links[from].Send(&h, [2][]byte{payload})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return
		}
		p.eps[from].Wait(time.Time{})
	}
}

// breaks waits until a link has failed, in either direction.
func (p *couple) breaks(t *testing.T, at int) error {
	t.Helper()
	for {
		if _, err := p.links[at].Next(); err != nil {
			return err
		}
		if _, err := p.links[at].Sent(); err != nil {
			return err
		}
		p.eps[at].Wait(time.Time{})
	}
}

// checkError checks that a failure of a link names all that it should, with what a person can do.
func checkError(t *testing.T, err error, status ibverbs.Status, says ...string) {
	t.Helper()
	t.Logf("the user sees: %v", err)
	var link *transport.LinkError
	var work *ibverbs.WorkError
	if !errors.As(err, &link) || !errors.As(err, &work) {
		t.Fatalf("the error is %T %v", err, err)
	}
	if work.Status != status || work.QP == 0 || work.Device == "" || work.Port == 0 {
		t.Errorf("the cause is %+v, want status %v", *work, status)
	}
	for _, s := range append(says, link.Remedy, work.Device, "port 1", "queue pair", "rank") {
		if s == "" || !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func TestWrongKey(t *testing.T) {
	p := newCouple(t, nil)
	p.put(t, 0, []byte("right"))
	ibverbs.SpoilKey(p.links[0])
	p.put(t, 0, []byte("wrong"))
	checkError(t, p.breaks(t, 0), ibverbs.RemoteAccess, "refuses access", "same version")
	// The other end keeps what came before, and hears of it.
	h, err := p.links[1].Next()
	for h == nil && err == nil {
		p.eps[1].Wait(time.Time{})
		h, err = p.links[1].Next()
	}
	if err != nil || h.Length != 5 {
		t.Fatalf("the frame before: %v, %v", h, err)
	}
	got := make([]byte, 5)
	if n, err := p.links[1].Read(got); n != 5 || err != nil || string(got) != "right" {
		t.Fatalf("its payload: %q, %v", got[:n], err)
	}
	t.Logf("the other end sees: %v", p.breaks(t, 1))
}

// TestNoReceive: an end that sends more than it may meets one that has nothing posted.
func TestNoReceive(t *testing.T) {
	p := newCouple(t, nil, ibverbs.Impatient())
	ibverbs.ForgetCredit(p.links[0])
	h := transport.Header{Kind: transport.Data}
	var err error
	for err == nil {
		var ok bool
		if ok, err = p.links[0].Send(&h, [2][]byte{}); !ok && err == nil {
			p.eps[0].Wait(time.Time{})
		}
	}
	checkError(t, err, ibverbs.NotReadyExceeded, "no room for messages")
}

func TestWrongGID(t *testing.T) {
	eps := [2]transport.Endpoint{}
	for i := range eps {
		eps[i] = start(t, transport.Config{Rank: i, Size: 2, Job: t.Name(), Interface: deviceOf(i)})
	}
	ibverbs.SpoilGID(eps[1])
	_, err := eps[0].Dial(t.Context(), 1, eps[1].Addresses())
	t.Logf("the user sees: %v", err)
	var device *ibverbs.DeviceError
	var link *transport.LinkError
	if !errors.As(err, &device) || !errors.As(err, &link) {
		t.Fatalf("the error is %T %v", err, err)
	}
	for _, s := range []string{"203.0.113.77", "GID", "rank 1", device.Device, "on one network"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

func TestNoPortIsLeft(t *testing.T) {
	for _, c := range []struct{ filter, says string }{
		{"mlx5_77", `the interface filter "mlx5_77"`},
		{"203.0.113.0/24", "203.0.113.0/24"},
		{"^rxe0,rxe1", `"^rxe0,rxe1"`},
	} {
		_, err := ibverbs.New().Open(context.Background(), transport.Config{
			Size: 2, Interface: c.filter,
		})
		t.Logf("the user sees: %v", err)
		if !errors.Is(err, ibverbs.ErrNoPort) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.filter, err)
		}
	}
}

// TestLongestMessage: a device that takes no long messages gets more of them.
func TestLongestMessage(t *testing.T) {
	const longest, size = 16 << 10, 1 << 20
	p := &couple{}
	for i := range p.eps {
		p.eps[i] = start(t, transport.Config{Rank: i, Size: 2, Job: t.Name(), Interface: deviceOf(i)})
		ibverbs.LimitMessages(p.eps[i], longest)
	}
	p.connect(t)
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		h := transport.Header{Kind: transport.Data, Length: size}
		for ok := false; !ok; {
			ok, _ = p.links[0].Send(&h, [2][]byte{payload})
			p.eps[0].Wait(time.Now().Add(time.Millisecond))
		}
		for n := uint64(0); n == 0; {
			n, _ = p.links[0].Sent()
			p.eps[0].Wait(time.Now().Add(time.Millisecond))
		}
	})
	got := receiveFrame(t, p.eps[1], p.links[1])
	sending.Wait()
	if !bytes.Equal(got, payload) {
		t.Error("another payload came")
	}
	if n := ibverbs.Messages(p.links[0]); n < size/longest {
		t.Errorf("%d messages for %d bytes, and the device takes %d", n, size, longest)
	}
}

// receiveFrame takes a frame.
func receiveFrame(t *testing.T, e transport.Endpoint, l transport.Link) []byte {
	t.Helper()
	var got []byte
	n := -1
	for n < len(got) {
		if n < 0 {
			h, err := l.Next()
			if err != nil {
				t.Fatal(err)
			}
			if h != nil {
				got, n = make([]byte, h.Length), 0
				continue
			}
		} else {
			k, err := l.Read(got[n:])
			if err != nil {
				t.Fatal(err)
			}
			if n += k; k > 0 {
				continue
			}
		}
		e.Wait(time.Time{})
	}
	return got
}

// onWire is for tests that act on the packets between two devices.
func onWire(t *testing.T) {
	t.Helper()
	if os.Getenv("TUTTI_RDMA_WIRE") != "veth" {
		t.Skip("this machine's devices are not on the two ends of a wire")
	}
}

func setLink(t *testing.T, state string) {
	t.Helper()
	out, err := exec.Command("/bin/ip", "link", "set", "v0", state).CombinedOutput()
	if err != nil {
		t.Fatalf("ip link set v0 %s: %v: %s", state, err, out)
	}
}

// TestPortDown takes the wire away in the middle: both ends get an error that names the port.
func TestPortDown(t *testing.T) {
	onWire(t)
	var log bytes.Buffer
	p := newCouple(t, slog.New(slog.NewTextHandler(&log, nil)), ibverbs.Retry(time.Second))
	p.put(t, 0, []byte("first"))
	setLink(t, "down")
	t.Cleanup(func() { setLink(t, "up") })
	for i := range p.links {
		h := transport.Header{Kind: transport.Data, Length: 4}
		if _, err := p.links[i].Send(&h, [2][]byte{[]byte("lost")}); err != nil {
			t.Logf("rank %d: %v", i, err)
		}
	}
	// A card says that nobody answers; rxe, that it can't send at all.
	err := p.breaks(t, 0)
	var work *ibverbs.WorkError
	if !errors.As(err, &work) {
		t.Fatalf("the error is %T %v", err, err)
	}
	checkError(t, err, work.Status, "(down)", "cable")
	t.Logf("the other end sees: %v", p.breaks(t, 1))
	if !strings.Contains(log.String(), "the port is down") {
		t.Errorf("no line says that the port is down:\n%s", log.String())
	}
}

// TestAddressesOfBothEnds: the link says where it goes.
func TestAddressesOfBothEnds(t *testing.T) {
	p := newCouple(t, nil)
	for i, l := range p.links {
		if s := l.String(); !strings.HasPrefix(s, "ibverbs rxe") ||
			!strings.Contains(s, fmt.Sprint("rank ", i, " at ")) {
			t.Errorf("the link is %q", s)
		}
	}
}
