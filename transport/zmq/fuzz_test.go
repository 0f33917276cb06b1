//go:build linux || darwin

package zmq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// reference parses a whole stream by the letter: the frames in it, and whether it ends in an error
// that the end of the stream is not.
func reference(b []byte) (frames [][]byte, bad bool) {
	for {
		p, ok, err := parsePrefix(b)
		switch {
		case err != nil:
			return frames, true
		case !ok:
			return frames, false
		}
		limit := uint64(transport.HeaderBytes + testPayload)
		if p.command() {
			limit = maxCommand
		}
		if p.more() || p.size > limit || !p.command() && p.size < transport.HeaderBytes {
			return frames, true
		}
		body := b[p.bytes:]
		if p.command() {
			if uint64(len(body)) < p.size {
				return frames, false
			}
			name, _, err := command(body[:p.size])
			if err != nil || name == "ERROR" {
				return frames, true
			}
			b = body[p.size:]
			continue
		}
		if len(body) < transport.HeaderBytes {
			return frames, false
		}
		var h transport.Header
		if h.Decode(body, testPayload) != nil || uint64(h.Length)+transport.HeaderBytes != p.size {
			return frames, true
		}
		if uint64(len(body)) < p.size {
			return frames, false
		}
		frames = append(frames, body[:p.size])
		b = body[p.size:]
	}
}

// FuzzReader feeds a link with bytes, in portions, and takes what comes in portions, by Read and by
// Peek, as the script says. The frames are those of the reference, and the buffers stay in bounds.
func FuzzReader(f *testing.F) {
	good := wire(data(1), []byte("payload of a frame"), false)
	long := wire(data(2), bytes.Repeat([]byte("0123456789"), 300), false)
	f.Add(bytes.Join([][]byte{good, long, good, ping("context")}, nil), []byte{1, 200, 3, 77, 4})
	short := wire(data(3), []byte("x"), true)
	f.Add(bytes.Join([][]byte{short, long, long, long}, nil), []byte{250, 251, 9})
	f.Add(wire(data(2), make([]byte, 20_000), false), []byte{250, 251, 9, 82})
	f.Add(binary.BigEndian.AppendUint64([]byte{2}, 1<<62), []byte{9})
	f.Add(append(bytes.Clone(good), "GET / HTTP/1.1\r\n"...), []byte{5, 6})
	f.Add(append([]byte{4, 9, 5}, "ERROR\x03why"...), []byte{2})
	f.Fuzz(func(t *testing.T, stream, script []byte) {
		if len(stream) > 64<<10 || len(script) == 0 {
			return
		}
		want, bad := reference(stream)
		l, fd := wired(t)
		got, err := feed(t, l, fd, stream, script)
		if len(got) != len(want) {
			t.Fatalf("%d frames, want %d (%v)", len(got), len(want), err)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i][transport.HeaderBytes:]) {
				t.Fatalf("frame %d: %d bytes that differ from the %d sent", i, len(got[i]), len(want[i])-64)
			}
		}
		var frame *transport.FrameError
		var reported *peerError
		if isBad := errors.As(err, &frame) || errors.As(err, &reported); isBad != bad {
			t.Fatalf("the error is %v; is the stream bad: %v", err, bad)
		}
		if n := cap(l.in.buf); n > largeBytes {
			t.Fatalf("a buffer of %d bytes", n)
		}
	})
}

// feed plays the script until the stream is written and the link has given its error.
func feed(t *testing.T, l *link, fd int, stream, script []byte) (frames [][]byte, err error) {
	t.Helper()
	var payload []byte // of the head frame, as far as it is taken
	for step := 0; ; step++ {
		s := int(script[step%len(script)])
		if fd >= 0 {
			n := min(1+s*s/7, len(stream))
			n, err := unix.Write(fd, stream[:n])
			if err != nil && err != unix.EAGAIN {
				t.Fatal(err)
			}
			if stream = stream[max(n, 0):]; len(stream) == 0 {
				closeFD(t, fd)
				fd = -1
			}
		}
		h, err := l.Next()
		if err != nil {
			if fd >= 0 {
				closeFD(t, fd)
			}
			return frames, err
		}
		if h == nil {
			continue
		}
		length := int(h.Length)
		if payload, err = takePart(t, l, payload, length, s); err == nil && len(payload) == length {
			frames = append(frames, payload)
			payload = nil
		}
	}
}

// takePart takes some more of the payload; an error shows up in Next again.
func takePart(t *testing.T, l *link, payload []byte, length, s int) ([]byte, error) {
	t.Helper()
	if s%3 == 0 {
		dst := make([]byte, 1+s*s)
		n, err := l.Read(dst)
		return append(payload, dst[:n]...), err
	}
	b, err := l.Peek()
	if err != nil {
		return payload, err
	}
	if len(b) > length-len(payload) {
		t.Fatalf("Peek shows %d bytes of %d", len(b), length-len(payload))
	}
	b = b[:min(len(b), 1+s*s)]
	payload = append(payload, b...)
	l.Discard(len(b))
	return payload, nil
}

// FuzzGreeting says arbitrary bytes to the accepting end of a greeting: it ends with an error or
// with a peer of the right kind, and does not panic.
func FuzzGreeting(f *testing.F) {
	good := Greeting()
	f.Add(good)
	f.Add(good[:70])
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(append(bytes.Clone(good[:64]), appendReady(nil, "BANANA")...))
	f.Add(append(bytes.Clone(good[:64]), 6, 0x40, 0, 0, 0, 0, 0, 0, 0))
	f.Add(append(append(bytes.Clone(good[:64]), 4, 8, 5), "READY\x09\x01"...))
	f.Add(append(append(bytes.Clone(good[:64]), 4, 9, 5), "ERROR\x03why"...))
	f.Fuzz(func(t *testing.T, said []byte) {
		c := &scripted{in: bytes.NewReader(said)}
		err := greet(c, zmq4.Pair, true)
		right := len(said) > greetingBytes && said[0] == 0xff && bytes.Contains(said, []byte("PAIR"))
		if err == nil && !right {
			t.Errorf("%q is taken for a greeting", said)
		}
		if c.asked > greetingBytes+longPrefix+maxReady {
			t.Errorf("%d bytes asked for", c.asked)
		}
	})
}

// scripted is a connection whose other end has said it all.
type scripted struct {
	in    *bytes.Reader
	asked int
}

func (c *scripted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.asked += n
	return n, err
}

func (c *scripted) Write(p []byte) (int, error)    { return len(p), nil }
func (*scripted) Close() error                     { return nil }
func (*scripted) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (*scripted) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (*scripted) SetDeadline(time.Time) error      { return nil }
func (*scripted) SetReadDeadline(time.Time) error  { return nil }
func (*scripted) SetWriteDeadline(time.Time) error { return nil }

var _ io.ReadWriteCloser = (*scripted)(nil)

// FuzzAddresses decodes arbitrary bytes: what is taken encodes to the same bytes again.
func FuzzAddresses(f *testing.F) {
	for _, a := range sampleAddresses() {
		b, err := a.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte{1, 0, 0, 0, 255, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAddresses(b)
		if err != nil {
			if !errors.Is(err, errAddresses) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := a.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x decodes to %+v, which encodes to %x, %v", b, a, again, err)
		}
	})
}
