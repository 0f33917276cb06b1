//go:build linux || darwin

package zmq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

const testPayload = 1 << 20

// testLink makes a link of a connected descriptor, without greeting and hello.
func testLink(fd int) *link {
	return newLink(fd, link{
		turn: new(sync.Mutex), rank: 0, peer: 1, maxPayload: testPayload, text: "test", address: "test",
	})
}

// wired returns a link and the other end of its socket.
func wired(t testing.TB) (*link, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	l := testLink(fds[0])
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, fds[1]
}

func closeFD(t testing.TB, fd int) {
	t.Helper()
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, fd int, b []byte) {
	t.Helper()
	if n, err := unix.Write(fd, b); err != nil || n != len(b) {
		t.Fatalf("write: %d of %d, %v", n, len(b), err)
	}
}

// wire is a frame as it stands on the wire.
func wire(h transport.Header, payload []byte, short bool) []byte {
	var b []byte
	size := transport.HeaderBytes + len(payload)
	if short {
		b = []byte{0, byte(size)}
	} else {
		b = binary.BigEndian.AppendUint64([]byte{flagLong}, uint64(size))
	}
	h.Length = uint32(len(payload))
	var head [transport.HeaderBytes]byte
	h.Encode(head[:])
	return append(append(b, head[:]...), payload...)
}

func data(seq uint64) transport.Header { return transport.Header{Kind: transport.Data, Seq: seq} }

// takeFrame reads the frame at the head, which has arrived whole.
func takeFrame(t testing.TB, l *link) (transport.Header, []byte) {
	t.Helper()
	h, err := l.Next()
	if err != nil || h == nil {
		t.Fatalf("Next: %v, %v", h, err)
	}
	head, payload := *h, make([]byte, h.Length)
	for n := 0; n < len(payload); {
		k, err := l.Read(payload[n:])
		if err != nil || k == 0 {
			t.Fatalf("Read: %d, %v", k, err)
		}
		n += k
	}
	return head, payload
}

func TestLayoutOnTheWire(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	for _, pieces := range [][2][]byte{
		{}, {[]byte("payload")}, {bytes.Repeat([]byte("a"), 700), bytes.Repeat([]byte("b"), 41)},
	} {
		payload := append(bytes.Clone(pieces[0]), pieces[1]...)
		h := data(7)
		h.Length = uint32(len(payload))
		if ok, err := l.Send(&h, pieces); !ok || err != nil {
			t.Fatal(ok, err)
		}
		got := make([]byte, 2000)
		n, err := unix.Read(fd, got)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(wire(h, payload, false), got[:n]); d != "" {
			t.Error(d)
		}
	}
	if n, err := l.Sent(); n != 3 || err != nil {
		t.Errorf("Sent: %d, %v", n, err)
	}
}

func TestShortFormAndCommands(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	var in []byte
	in = append(in, 4, 9, 7)
	in = append(in, "UNKNOWN!"...)
	in = append(in, wire(data(1), []byte("short"), true)...)
	in = append(in, 6, 0, 0, 0, 0, 0, 0, 0, 6, 4)
	in = append(in, "PONG!"...)
	in = append(in, wire(data(2), nil, true)...)
	write(t, fd, in)
	for seq, want := range []string{"short", ""} {
		h, payload := takeFrame(t, l)
		if h.Seq != uint64(seq+1) || string(payload) != want {
			t.Errorf("frame %d: %+v %q", seq+1, h, payload)
		}
	}
	if h, err := l.Next(); h != nil || err != nil {
		t.Errorf("%v, %v", h, err)
	}
}

func ping(context string) []byte {
	b := []byte{4, byte(7 + len(context)), 4, 'P', 'I', 'N', 'G', 0, 10}
	return append(b, context...)
}

func TestPingIsAnsweredBetweenFrames(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	memory := bytes.Repeat([]byte{9}, testPayload)
	h := data(1)
	h.Length = testPayload
	if ok, err := l.Send(&h, [2][]byte{memory}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if n, err := l.Sent(); n != 0 || err != nil {
		t.Fatalf("%d frames of 1 MiB fit a socket that nobody reads, %v", n, err)
	}
	write(t, fd, append(ping("one"), ping("sixteen bytes...")...))
	if h, err := l.Next(); h != nil || err != nil {
		t.Fatal(h, err)
	}
	want := append(wire(h, memory, false), 4, 21, 4, 'P', 'O', 'N', 'G')
	want = append(want, "sixteen bytes..."...) // the later PING took the place of the first
	got := make([]byte, 0, len(want)+100)
	for len(got) < len(want) {
		n, err := unix.Read(fd, got[len(got):cap(got)])
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", len(got), len(want), err)
		}
		got = got[:len(got)+n]
		if _, err := l.Sent(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes on the wire are not the frame, then the PONG")
	}
	if l.out.waiting() {
		t.Error("more is to be sent")
	}
}

func TestWhatBreaksALink(t *testing.T) {
	more := wire(data(1), []byte("x"), false)
	more[0] |= flagMore
	wrong := wire(data(1), []byte("xyz"), false)
	wrong[8]++
	magic := wire(data(1), []byte("xyz"), false)
	magic[9] = 'X'
	huge := binary.BigEndian.AppendUint64([]byte{flagLong}, 1<<62)
	for name, c := range map[string]struct {
		in    []byte
		field string
	}{
		"several parts":        {more, "ZMTP flags"},
		"two lengths":          {append(wrong, 0), "length"},
		"magic":                {magic, "magic"},
		"2^62 bytes":           {huge, "ZMTP length"},
		"a bit over the limit": {binary.BigEndian.AppendUint64([]byte{2}, testPayload+65), "ZMTP length"},
		"no room for a header": {[]byte{0, 63}, "ZMTP length"},
		"reserved flags":       {[]byte{8}, "ZMTP flags"},
		"command in parts":     {[]byte{5}, "ZMTP flags"},
		"huge command":         {append([]byte{6, 0, 0, 0, 0, 0, 0}, 2, 1), "length of a ZMTP command"},
		"command without name": {[]byte{4, 0}, "length of a ZMTP command"},
		"command cut":          {[]byte{4, 2, 9, 'P'}, "length of a ZMTP command"},
	} {
		t.Run(name, func(t *testing.T) {
			l, fd := wired(t)
			defer closeFD(t, fd)
			write(t, fd, append(wire(data(1), []byte("good"), false), c.in...))
			if _, payload := takeFrame(t, l); string(payload) != "good" {
				t.Fatalf("%q", payload)
			}
			h, err := l.Next()
			var frame *transport.FrameError
			if h != nil || !errors.As(err, &frame) || frame.Field != c.field {
				t.Fatalf("%v, %v: want a FrameError of %q", h, err, c.field)
			}
			var link *transport.LinkError
			if !errors.As(err, &link) || link.Phase != "receive" || link.Peer != 1 || link.Remedy == "" {
				t.Errorf("%#v", link)
			}
			if _, again := l.Next(); again != err {
				t.Errorf("%v, then %v", err, again)
			}
		})
	}
}

func TestErrorCommand(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	write(t, fd, append([]byte{4, 17, 5, 'E', 'R', 'R', 'O', 'R', 10}, "go away!!!"...))
	if _, err := l.Next(); err == nil || !strings.Contains(err.Error(), `"go away!!!"`) {
		t.Errorf("%v", err)
	}
}

func TestEndOfTheConnection(t *testing.T) {
	frame := wire(data(1), bytes.Repeat([]byte{1}, 1000), false)
	for cut, want := range map[int]error{
		0: transport.ErrClosed, 1: io.ErrUnexpectedEOF, 8: io.ErrUnexpectedEOF, 72: io.ErrUnexpectedEOF,
		73: io.ErrUnexpectedEOF, 1072: io.ErrUnexpectedEOF, 1073: transport.ErrClosed,
	} {
		l, fd := wired(t)
		write(t, fd, append(bytes.Clone(frame), frame[:cut]...))
		closeFD(t, fd)
		takeFrame(t, l)
		if cut == len(frame) {
			takeFrame(t, l)
		}
		var err error
		for range 3 { // the header may come first, and the end be noticed by Read
			var h *transport.Header
			if h, err = l.Next(); err != nil {
				break
			}
			if h != nil {
				for err == nil {
					_, err = l.Read(make([]byte, 1000))
				}
				break
			}
		}
		if !errors.Is(err, want) {
			t.Errorf("after %d bytes of a frame: %v, want %v", cut, err, want)
		}
	}
}

func TestPayloadsBeginAtLines(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	for i := range 5 {
		write(t, fd, wire(data(uint64(i)), bytes.Repeat([]byte{1}, 4096), false))
		if h, err := l.Next(); h == nil || err != nil {
			t.Fatal(h, err)
		}
		if l.in.p%64 != 0 {
			t.Errorf("the payload is at %d of a buffer that begins at a line", l.in.p)
		}
		b, err := l.Peek()
		if err != nil {
			t.Fatal(err)
		}
		l.Discard(len(b))
	}
}

func TestNoAllocationsOnTheHotPath(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	small := wire(data(1), make([]byte, 64), false)
	out, in := make([]byte, 300), make([]byte, 64)
	h := data(1)
	h.Length = uint32(len(out))
	sink := make([]byte, 64<<10)
	if n := testing.AllocsPerRun(200, func() {
		if h, err := l.Next(); h != nil || err != nil {
			t.Fatal(h, err)
		}
		if ok, err := l.Send(&h, [2][]byte{out[:100], out[100:]}); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, err := unix.Read(fd, sink); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fd, small); err != nil {
			t.Fatal(err)
		}
		if h, err := l.Next(); h == nil || err != nil {
			t.Fatal(h, err)
		}
		if n, err := l.Read(in); n != 64 || err != nil {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSendChecksTheLength(t *testing.T) {
	l, fd := wired(t)
	defer closeFD(t, fd)
	h := data(1)
	h.Length = 5
	var frame *transport.FrameError
	if ok, err := l.Send(&h, [2][]byte{[]byte("four")}); ok || !errors.As(err, &frame) {
		t.Errorf("%v, %v", ok, err)
	}
	h.Length = 4
	if ok, err := l.Send(&h, [2][]byte{[]byte("four")}); !ok || err != nil {
		t.Errorf("the link does not live on: %v, %v", ok, err)
	}
}
