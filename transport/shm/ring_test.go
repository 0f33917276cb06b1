//go:build linux

package shm

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// TestSmallFramesArriveAsOneLine: once the other end knows communicator and fingerprint, neither
// ring is used for a payload of a few elements.
func TestSmallFramesArriveAsOneLine(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	h := transport.Header{Comm: 3, Epoch: 2, Fingerprint: transport.Fingerprint{1, 2, 3}}
	payload := []byte("sixteen bytes of")
	for i := range uint64(3 * lines) {
		h.Seq = i
		put(t, a, h, payload)
		got, body := get(t, b)
		if h.Kind, h.Length = got.Kind, got.Length; got != h || !bytes.Equal(body, payload) {
			t.Fatalf("frame %d came as %+v, %q", i, got, body)
		}
	}
	if a.out.smallAt != lineBytes {
		t.Errorf("%d bytes went through the small ring, want those of the first frame", a.out.smallAt)
	}
	h.Comm++
	put(t, a, h, payload)
	got, body := get(t, b)
	if got.Comm != 4 || !bytes.Equal(body, payload) || a.out.smallAt != 2*lineBytes {
		t.Errorf("after a change of the communicator: %+v, %q", got, body)
	}
}

// TestBellRingsOnlyForWhoIsParked looks at the bytes that wait on the socket.
func TestBellRingsOnlyForWhoIsParked(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	want := func(l *link, n int, when string) {
		t.Helper()
		got, err := unix.IoctlGetInt(l.fd, unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if got != n {
			t.Errorf("%d bytes %s, want %d", got, when, n)
		}
	}
	for range 10 {
		put(t, a, transport.Header{}, []byte{1})
	}
	want(b, 0, "for who is not parked")
	b.announce()
	for range 10 {
		put(t, a, transport.Header{}, []byte{1})
	}
	want(b, 1, "for who parks once")
	a.announce()
	for range 20 {
		get(t, b)
	}
	if h, err := b.Next(); h != nil || err != nil {
		t.Fatal(h, err)
	}
	want(a, 0, "about room for who does not want any")
	big := make([]byte, streamMin+100)
	put(t, a, transport.Header{}, big)
	a.announce()
	got := make([]byte, len(big))
	if h, err := b.Next(); h == nil || err != nil {
		t.Fatal(h, err)
	}
	if n, err := b.Read(got); n != streamMin || err != nil {
		t.Fatalf("%d bytes of a stream of %d, %v", n, streamMin, err)
	}
	want(a, 1, "about room for who waits for it")
}

// TestParkedSeesWhatCameBefore: who announces that it parks looks once more.
func TestParkedSeesWhatCameBefore(t *testing.T) {
	p := newPair(t, 1<<20)
	a, b := p.ends[0], p.ends[1]
	if b.fresh() || a.fresh() {
		t.Fatal("a fresh link has something to tell")
	}
	put(t, a, transport.Header{}, []byte{1})
	if b.announce(); !b.fresh() {
		t.Error("a frame is not seen")
	}
	get(t, b)
	for i := 0; ; i++ {
		if ok, err := a.Send(&transport.Header{Kind: transport.Data}, [2][]byte{}); err != nil {
			t.Fatal(err)
		} else if !ok {
			break
		}
	}
	if a.announce(); a.fresh() {
		t.Error("there is no room, and no news about it")
	}
	for h, err := b.Next(); h != nil; h, err = b.Next() {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !a.fresh() {
		t.Error("room is not seen")
	}
}

// scribble overwrites what one end tells the other.
type scribble struct {
	name   string
	write  func(*link)
	sender bool // who notices
}

func scribbles() []scribble {
	at := func(l *link) *line { return &l.out.lines[0] }
	stamped := func(form, kind uint64) uint64 { return uint64(stampOf(0)) | form<<32 | kind<<40 }
	return []scribble{
		{"form", func(l *link) { at(l).word.Store(stamped(9, 1)) }, false},
		{"anew without a stream", func(l *link) { at(l).word.Store(stamped(formAnew, uint64(transport.Data))) }, false},
		{"anew and lent", func(l *link) {
			at(l).length = 1 << 20
			at(l).word.Store(stamped(formAnew|formLent, uint64(transport.Data)))
		}, false},
		{"kind 0", func(l *link) { at(l).word.Store(stamped(formFull, 0)) }, false},
		{"kind 200", func(l *link) { at(l).word.Store(stamped(formFull, 200)) }, false},
		{"length", func(l *link) {
			at(l).length = 1<<20 + 1
			at(l).word.Store(stamped(formFull, uint64(transport.Data)))
		}, false},
		{"control length", func(l *link) {
			at(l).length = transport.MaxControl + 1
			at(l).word.Store(stamped(formFull, uint64(transport.Abort)))
		}, false},
		{"stream filled too far", func(l *link) {
			at(l).length = 1 << 20
			at(l).word.Store(stamped(formFull, uint64(transport.Data)))
			l.seg.mine.filled.Store(streamMin + 1)
		}, false},
		{"stream filled beyond all", func(l *link) {
			at(l).length = 1 << 20
			at(l).word.Store(stamped(formFull, uint64(transport.Data)))
			l.seg.mine.filled.Store(1<<64 - 1)
		}, false},
		{"frames taken", func(l *link) { l.seg.mine.frames.Store(lines + 1) }, true},
		{"frames taken backwards", func(l *link) { l.seg.mine.frames.Store(1<<64 - 1) }, true},
		{"stream taken", func(l *link) { l.seg.mine.stream.Store(1 << 40) }, true},
	}
}

// TestScribblesBreakTheLink: the error is a *transport.FrameError in a *transport.LinkError that
// names the peer.
func TestScribblesBreakTheLink(t *testing.T) {
	for _, s := range scribbles() {
		t.Run(s.name, func(t *testing.T) {
			p := newPair(t, 1<<20)
			bad, good := p.ends[0], p.ends[1]
			s.write(bad)
			var err error
			if s.sender {
				h := transport.Header{Kind: transport.Data, Length: 1 << 18}
				payload := [2][]byte{make([]byte, h.Length)}
				for i := 0; i < 2*lines && err == nil; i++ {
					if _, err = good.Send(&h, payload); err == nil {
						_, err = good.Sent()
					}
					h.Length, payload = 0, [2][]byte{}
					if s.name != "stream taken" {
						good.out.busy = false
					}
				}
			} else {
				_, err = good.Next()
			}
			var frame *transport.FrameError
			var linkError *transport.LinkError
			if !errors.As(err, &frame) || !errors.As(err, &linkError) || linkError.Peer != 0 ||
				linkError.Remedy == "" {
				t.Fatalf("the error is %T %v", err, err)
			}
			for range 2 {
				_, sent := good.Sent()
				_, next := good.Next()
				if again := map[bool]error{true: sent, false: next}[s.sender]; again != err {
					t.Errorf("then it is %v", again)
				}
			}
		})
	}
}

// TestStreamSizes: the rings of a rank stay within what a job's size allows.
func TestStreamSizes(t *testing.T) {
	for ranks := 1; ranks < 300; ranks++ {
		n := streamBytes(ranks)
		if n < streamMin || n > streamMax || n&(n-1) != 0 {
			t.Errorf("%d ranks: rings of %d bytes", ranks, n)
		}
		if n > streamMin && 2*n*(ranks-1) > streamTotal {
			t.Errorf("%d ranks: rings of %d bytes are too many", ranks, n)
		}
	}
	got := fmt.Sprint(streamBytes(2)>>10, streamBytes(4)>>10, streamBytes(8)>>10, streamBytes(64)>>10)
	if got != "1024 1024 512 128" {
		t.Errorf("KiB for 2, 4, 8 and 64 ranks: %s", got)
	}
}

// TestIdentityGoesAlong: a frame that differs from the one before it in no more than a part of what rarely
// changes arrives with its own.
func TestIdentityGoesAlong(t *testing.T) {
	p := newPair(t, 1<<20)
	h := transport.Header{}
	for i, change := range []func(){
		func() {}, func() { h.Epoch++ }, func() { h.Comm++ }, func() { h.Fingerprint[0]++ },
		func() { h.Fingerprint[transport.FingerprintBytes-1]++ }, func() {},
	} {
		change()
		put(t, p.ends[0], h, []byte{byte(i)})
		got, payload := get(t, p.ends[1])
		if got.Epoch != h.Epoch || got.Comm != h.Comm || got.Fingerprint != h.Fingerprint || payload[0] != byte(i) {
			t.Errorf("frame %d came as %+v, %v, want %+v", i, got, payload, h)
		}
	}
}
