//go:build linux || darwin

package zmq

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/go-zeromq/zmq4"
	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// python is Debian's, which finds python3-zmq.
const python = "/usr/bin/python3"

// libzmq runs a script with a real ZeroMQ library. Without one, it skips the test, or fails it when
// TUTTI_REQUIRE_LIBZMQ is 1. The script's lines are what it prints.
func libzmq(t *testing.T, script string, args ...string) *bufio.Scanner {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import zmq").CombinedOutput(); err != nil {
		text := fmt.Sprintf("no libzmq to talk to (apt-get install python3-zmq): %v: %s", err, out)
		if os.Getenv("TUTTI_REQUIRE_LIBZMQ") == "1" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	c := exec.Command(python, append([]string{"-c", script}, args...)...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			_ = c.Process.Kill() // it may wait for what will not come
		}
		if _, err := io.Copy(io.Discard, out); err != nil && !t.Failed() {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("python: %v\n%s", err, stderr.Bytes())
		}
	})
	return bufio.NewScanner(out)
}

// peerScript is a libzmq socket: argv is its type, "connect" or "bind", the address, and the
// interval of heartbeats in milliseconds. When bound it prints its port.
const peerScript = `
import struct, sys, zmq
s = zmq.Context().socket(getattr(zmq, sys.argv[1]))
s.linger = -1
if int(sys.argv[4]):
    s.setsockopt(zmq.HEARTBEAT_IVL, int(sys.argv[4]))
    s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 600000)
if sys.argv[2] == "connect":
    s.connect(sys.argv[3])
else:
    print(s.bind_to_random_port(sys.argv[3]), flush=True)
`

// meet connects to a libzmq peer that runs peerScript and then script, and greets it.
func meet(t *testing.T, kind zmq4.SocketType, pythonConnects bool, heartbeat int, script string) (
	net.Conn, *bufio.Scanner,
) {
	t.Helper()
	var c net.Conn
	var out *bufio.Scanner
	run := func(how, address string) *bufio.Scanner {
		return libzmq(t, peerScript+script, string(kind), how, address, fmt.Sprint(heartbeat))
	}
	if pythonConnects {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = run("connect", "tcp://"+l.Addr().String())
		if c, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
	} else {
		out = run("bind", "tcp://127.0.0.1")
		if !out.Scan() {
			t.Fatal("no port", out.Err())
		}
		var err error
		if c, err = net.Dial("tcp", "127.0.0.1:"+out.Text()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = attach.CloseQuietly(c) })
	if err := greet(c, kind, pythonConnects); err != nil {
		t.Fatal(err)
	}
	return c, out
}

// interopScript sends messages of one and of several parts, and expects every part back.
const interopScript = `
sizes = [0, 1, 63, 255, 256, 4096, 65537, 1 << 20]
for parts in [[n] for n in sizes] + [[3, 1 << 20], [0, 0, 300]]:
    m = [bytes([n % 251]) * n for n in parts]
    s.send_multipart(m)
    assert s.recv_multipart() == m, parts
print("done", flush=True)
s.close()
`

func TestLibzmqMessages(t *testing.T) {
	for _, kind := range []zmq4.SocketType{zmq4.Pair, zmq4.Dealer} {
		for _, connects := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/python connects %v", kind, connects), func(t *testing.T) {
				c, out := meet(t, kind, connects, 0, interopScript)
				m := newMessages(c, 1<<20)
				messages := 0
				for {
					body, more, err := m.read()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if err := m.write(body, more); err != nil {
						t.Fatal(err)
					}
					if !more {
						messages++
					}
				}
				if !out.Scan() || out.Text() != "done" || messages != 10 {
					t.Errorf("python says %q after %d messages", out.Text(), messages)
				}
			})
		}
	}
}

// frameScript sends frames made by hand, with heartbeats in between, and prints the last bytes of
// the frames that it gets.
const frameScript = `
def frame(seq, payload):
    head = b"TUTI", 1, 1, 0, 1, 2, seq, 3, len(payload), 0, 0, b"f" * 24
    return struct.pack("<4sBBHIIQIIII24s", *head) + payload
for seq, n in enumerate([0, 1, 100, 191, 192, 5000, 1 << 20]):
    s.send(frame(seq, bytes([seq]) * n))
for seq, n in enumerate([0, 1, 100, 191, 192, 5000, 1 << 20]):
    m = s.recv()
    assert not s.get(zmq.RCVMORE)
    assert len(m) == 64 + n and m[:6] == b"TUTI\x01\x01", (seq, len(m), m[:64])
    assert m[16:24] == struct.pack("<Q", seq) and m[28:32] == struct.pack("<I", n)
    assert m[64:] == bytes([seq ^ 255]) * n, seq
print("done", flush=True)
assert s.recv()[:6] == b"TUTI\x01\x05"
s.close()
`

// TestLibzmqFrames lets a libzmq socket speak with a link, which answers its heartbeats.
func TestLibzmqFrames(t *testing.T) {
	for _, connects := range []bool{true, false} {
		t.Run(fmt.Sprintf("python connects %v", connects), func(t *testing.T) {
			c, out := meet(t, zmq4.Pair, connects, 10, frameScript)
			fd, err := attach.TakeOver(c)
			if err != nil {
				t.Fatal(err)
			}
			l := testLink(fd)
			defer func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}()
			sizes := []int{0, 1, 100, 191, 192, 5000, 1 << 20}
			for seq, n := range sizes {
				h, payload := takeSlowly(t, l)
				if h.Seq != uint64(seq) || h.Epoch != 1 || h.Comm != 2 || h.Step != 3 ||
					!bytes.Equal(payload, bytes.Repeat([]byte{byte(seq)}, n)) {
					t.Fatalf("frame %d: %+v with %d bytes", seq, h, len(payload))
				}
			}
			countPings(t, l, 3)
			for seq, n := range sizes {
				h := data(uint64(seq))
				h.Length = uint32(n)
				sendSlowly(t, l, &h, bytes.Repeat([]byte{byte(seq) ^ 255}, n))
			}
			if !out.Scan() || out.Text() != "done" {
				t.Fatalf("python says %q", out.Text())
			}
			sendSlowly(t, l, &transport.Header{Kind: transport.Goodbye}, nil)
		})
	}
}

// parkIn waits for the link's descriptor.
func parkIn(t *testing.T, l *link) {
	t.Helper()
	events := int16(unix.POLLIN)
	if l.out.waiting() {
		events |= unix.POLLOUT
	}
	if l.in.fresh() {
		return
	}
	fds := []unix.PollFd{{Fd: int32(l.fd), Events: events}}
	if _, err := transport.Poll(fds, -1); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
}

func takeSlowly(t *testing.T, l *link) (transport.Header, []byte) {
	t.Helper()
	for {
		h, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			parkIn(t, l)
			continue
		}
		head, payload := *h, make([]byte, h.Length)
		for n := 0; n < len(payload); {
			k, err := l.Read(payload[n:])
			if err != nil {
				t.Fatal(err)
			}
			if n += k; k == 0 {
				parkIn(t, l)
			}
		}
		return head, payload
	}
}

func sendSlowly(t *testing.T, l *link, h *transport.Header, payload []byte) {
	t.Helper()
	for {
		ok, err := l.Send(h, [2][]byte{payload})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			break
		}
		parkIn(t, l)
	}
	for l.out.waiting() {
		parkIn(t, l)
		if _, err := l.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Sent(); err != nil {
			t.Fatal(err)
		}
	}
}

// countPings lets the link answer n heartbeats, as its Next does.
func countPings(t *testing.T, l *link, n int) {
	t.Helper()
	for n > 0 {
		if h, err := l.in.next(); h != nil || err != nil {
			t.Fatal(h, err)
		}
		if l.in.pinged {
			n--
		}
		l.answerPing()
		parkIn(t, l)
	}
}
