package transporttest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/inproc"
	"github.com/tutti-ml/tutti/transport/transporttest"
)

// fault is a way to break the contract, and the subtest that has to notice.
type fault struct {
	name, noticed string
	endpoint      func(transport.Endpoint) transport.Endpoint
	link          func(transport.Link) transport.Link
	hangs         bool // noticed because the test does not end
}

var faults = []fault{
	{
		name: "header without flags", noticed: "Frames/EveryHeaderField",
		link: func(l transport.Link) transport.Link { return &noFlags{Link: l} },
	},
	{
		name: "frames twice", noticed: "Frames/ManyInOrder",
		link: func(l transport.Link) transport.Link { return &twice{Link: l} },
	},
	{
		name: "a wrong byte far inside", noticed: "Frames/EverySizeBothWays",
		link: func(l transport.Link) transport.Link { return &wrongByte{Link: l} },
	},
	{
		name: "Sent too early", noticed: "Lend/MemoryIsTheCallersOnceCounted",
		link: func(l transport.Link) transport.Link { return &early{Link: l} },
	},
	{
		name: "Reclaim does nothing", noticed: "Lend/ReclaimEndsAllLends",
		link: func(l transport.Link) transport.Link { return &keeping{Link: l} },
	},
	{
		name: "Reclaim leaves destinations", noticed: "Expect/ReclaimGivesDestinationsBack",
		link: func(l transport.Link) transport.Link { return &hasty{Link: l} },
	},
	{
		name: "no bound", noticed: "Lend/SendSaysFalseWhenFullAndRecovers",
		link: func(l transport.Link) transport.Link { return &boundless{Link: l} },
	},
	{
		name: "Peek unaligned", noticed: "Receive/PeekIsAlignedAndTakesNothing",
		link: func(l transport.Link) transport.Link { return &unaligned{Link: l} },
	},
	{
		name: "Next shows each frame once", noticed: "Receive/NextStaysUntilThePayloadIsTaken",
		link: func(l transport.Link) transport.Link { return &forgetful{Link: l} },
	},
	{
		name: "a new error each time", noticed: "Break/ErrorsStay",
		link: func(l transport.Link) transport.Link { return &fickle{Link: l} },
	},
	{
		name: "allocates", noticed: "Cost/NoAllocationForASmallFrame",
		link: func(l transport.Link) transport.Link { return &wasteful{Link: l} },
	},
	{
		name: "the wrong peer", noticed: "Endpoint/DialTellsBothWhoIsThere",
		link: func(l transport.Link) transport.Link { return &stranger{Link: l} },
	},
	{
		name: "untyped errors", noticed: "Endpoint/DialErrorsAreLinkErrors",
		endpoint: func(e transport.Endpoint) transport.Endpoint { return &untyped{Endpoint: e} },
	},
	{
		name: "a goroutine stays", noticed: "Break/CloseLeavesNoGoroutine",
		endpoint: func(e transport.Endpoint) transport.Endpoint { return &leaking{Endpoint: e} },
	},
	{
		name: "Wake is lost", noticed: "Wait/WakeBeforeWait", hangs: true,
		endpoint: func(e transport.Endpoint) transport.Endpoint { return &deaf{Endpoint: e} },
	},
}

type noFlags struct {
	transport.Link
	h transport.Header
}

func (l *noFlags) Next() (*transport.Header, error) {
	h, err := l.Link.Next()
	if h == nil {
		return nil, err
	}
	l.h = *h
	l.h.Flags = 0
	return &l.h, nil
}

type twice struct{ transport.Link }

func (l *twice) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	ok, err := l.Link.Send(h, pieces)
	if ok {
		_, err = l.Link.Send(h, pieces)
	}
	return ok, err
}

type wrongByte struct{ transport.Link }

func (l *wrongByte) Read(dst []byte) (int, error) {
	n, err := l.Link.Read(dst)
	if n > 1<<16 {
		dst[1<<16]++
	}
	return n, err
}

type early struct {
	transport.Link
	taken uint64
}

func (l *early) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	ok, err := l.Link.Send(h, pieces)
	if ok {
		l.taken++
	}
	return ok, err
}

func (l *early) Sent() (uint64, error) {
	_, err := l.Link.Sent()
	return l.taken, err
}

// hasty writes to where a payload is expected as soon as the header is there, whatever happens.
type hasty struct {
	transport.Link
	dst []byte
}

func (l *hasty) Expect(_ *transport.Header, dst []byte) bool {
	l.dst = dst
	return true
}

func (l *hasty) Next() (*transport.Header, error) {
	h, err := l.Link.Next()
	if h != nil && int(h.Length) == len(l.dst) {
		clear(l.dst)
	}
	return h, err
}

type keeping struct{ transport.Link }

func (*keeping) Reclaim() {}

type boundless struct{ transport.Link }

func (l *boundless) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	_, err := l.Link.Send(h, pieces)
	return err == nil, err
}

type unaligned struct {
	transport.Link
	b []byte
}

func (l *unaligned) Peek() ([]byte, error) {
	b, err := l.Link.Peek()
	l.b = append(append(l.b[:0], 0), b...)
	return l.b[1:], err
}

type forgetful struct {
	transport.Link
	seq uint64
}

func (l *forgetful) Next() (*transport.Header, error) {
	h, err := l.Link.Next()
	if h == nil || h.Seq+1 == l.seq {
		return nil, err
	}
	l.seq = h.Seq + 1
	return h, nil
}

type fickle struct{ transport.Link }

func (l *fickle) Next() (*transport.Header, error) {
	h, err := l.Link.Next()
	if err != nil {
		err = errors.Join(err)
	}
	return h, err
}

var kept []byte

type wasteful struct{ transport.Link }

func (l *wasteful) Next() (*transport.Header, error) {
	kept = make([]byte, 100)
	return l.Link.Next()
}

type stranger struct{ transport.Link }

func (l *stranger) Peer() int { return l.Link.Peer() + 1 }

type untyped struct{ transport.Endpoint }

func (e *untyped) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, addresses)
	if err != nil {
		err = errors.New(err.Error())
	}
	return l, err
}

type leaking struct{ transport.Endpoint }

func (e *leaking) Close() error {
	go func() { select {} }()
	return e.Endpoint.Close()
}

type deaf struct{ transport.Endpoint }

func (*deaf) Wake() {}

// faulty is an endpoint with a fault in its links.
type faulty struct {
	transport.Endpoint
	link func(transport.Link) transport.Link
}

func (e *faulty) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, addresses)
	if err != nil {
		return nil, err
	}
	return e.link(l), nil
}

func (e *faulty) Accept() transport.Link {
	l := e.Endpoint.Accept()
	if l == nil {
		return nil
	}
	return e.link(l)
}

func (f *fault) open(t *testing.T, ranks int) []transport.Endpoint {
	driver := inproc.NewNetwork(inproc.Options{}).Driver()
	eps := make([]transport.Endpoint, ranks)
	for i := range eps {
		e, err := driver.Open(t.Context(), transport.Config{Rank: i, Size: ranks})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		eps[i] = e
		if f.endpoint != nil {
			eps[i] = f.endpoint(e)
		}
		if f.link != nil {
			eps[i] = &faulty{eps[i], f.link}
		}
	}
	return eps
}

const faultVariable = "TRANSPORTTEST_FAULT"

// TestFaultyDriver is what TestFaultsAreNoticed runs in a process of its own, where it must fail.
func TestFaultyDriver(t *testing.T) {
	name := os.Getenv(faultVariable)
	if name == "" {
		t.Skip("no fault was chosen")
	}
	for _, f := range append(faults, inlineFaults...) {
		if f.name == name {
			transporttest.Run(t, f.open, transporttest.Options{})
			return
		}
	}
	t.Skipf("no fault is called %q", name)
}

// Every fault fails the subtest that is about it: the suite is no stronger than this list.
func TestFaultsAreNoticed(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(faults, inlineFaults...) {
		t.Run(f.name, func(t *testing.T) {
			limit := 10 * time.Minute
			if f.hangs {
				limit = time.Second // it ends no other way, however fast the machine is
			}
			cmd := exec.CommandContext(t.Context(), self,
				"-test.run=^TestFaultyDriver$/^"+strings.ReplaceAll(f.noticed, "/", "$/^")+"$",
				"-test.timeout="+limit.String())
			cmd.Env = append(os.Environ(), faultVariable+"="+f.name)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("%s did not notice: %v\n%s", f.noticed, err, out.String())
			}
			want := "--- FAIL: TestFaultyDriver/" + f.noticed
			if f.hangs {
				want = "test timed out"
			}
			if !strings.Contains(out.String(), want) {
				t.Errorf("it failed without %q:\n%s", want, out.String())
			}
		})
	}
}

func TestSoundDriver(t *testing.T) {
	sound := &fault{}
	transporttest.Run(t, sound.open, transporttest.Options{})
}
