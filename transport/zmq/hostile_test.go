//go:build linux || darwin

package zmq

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/internal/attach"
)

// hostile are the beginnings of connections that are none of ours, and what the log says of each.
func hostile() map[string]struct {
	says []byte
	log  string
} {
	ready := func(body string) []byte {
		b := append(Greeting()[:greetingBytes:greetingBytes], flagCommand, byte(len(body)))
		return append(b, body...)
	}
	typed := func(kind string) []byte { return ready("\x05READY\x0bSocket-Type\x00\x00\x00" + kind) }
	change := func(at int, to byte) []byte {
		b := Greeting()
		b[at] = to
		return b
	}
	long := func(flags byte, size uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{flags}, size)
	}
	then := func(b ...byte) []byte { return append(Greeting()[:greetingBytes], b...) }
	type c = struct {
		says []byte
		log  string
	}
	return map[string]c{
		"http":              {[]byte("GET / HTTP/1.1\r\n\r\n"), `not ZeroMQ: the other end said "GET /`},
		"tls":               {[]byte("\x16\x03\x01\x02\x00\x01\x00"), "not ZeroMQ"},
		"signature":         {change(9, 0), "not ZeroMQ"},
		"ZMTP 2":            {change(10, 1), "ZMTP 1, not 3"},
		"CURVE":             {change(12, 'X'), "another ZMTP security mechanism"},
		"server mark":       {change(32, 2), "mark of a server"},
		"cut greeting":      {Greeting()[:40], "after 40 bytes of the ZMTP greeting"},
		"cut READY":         {Greeting()[:70], "in the READY"},
		"no READY":          {then(0, 3, 'a', 'b', 'c'), "in place of READY"},
		"huge READY":        {then(long(6, 1<<62)...), "4611686018427387904 bytes"},
		"socket type":       {typed("\x03SUB"), `socket type "SUB"`},
		"unknown type":      {typed("\x06BANANA"), `socket type "BANANA"`},
		"no type":           {ready("\x05READY"), `socket type ""`},
		"cut property":      {ready("\x05READY\xffSocket-Type"), "properties that are cut"},
		"cut value":         {ready("\x05READY\x0bSocket-Type\x7f\xff\xff\xff"), "that are cut"},
		"ERROR":             {ready("\x05ERROR\x03why"), `reports "why"`},
		"huge hello":        {append(Greeting(), long(2, 1<<62)...), "ZMTP length is 46116860184"},
		"huge ping":         {append(Greeting(), long(6, 1<<62)...), "ZMTP length is 46116860184"},
		"hello in parts":    {append(Greeting(), 1, 1, 'x'), "one part"},
		"another protocol":  {append(Greeting(), 0, 5, 'h', 'e', 'l', 'l', 'o'), "does not speak Tutti"},
		"one line and away": {nil, "EOF"},
	}
}

// TestHostileGreetings: each stranger is worth one line, takes bounded memory, is disconnected, and
// disturbs no link.
func TestHostileGreetings(t *testing.T) {
	for _, m := range []Mode{TCP, IPC} {
		for name, h := range hostile() {
			t.Run(m.String()+"/"+name, func(t *testing.T) {
				log := newLines()
				a, b := rank(t, m, 0, nil), rank(t, m, 1, logging(log))
				l, err := a.Dial(t.Context(), 1, b.Addresses())
				if err != nil {
					t.Fatal(err)
				}
				other := acceptFrom(t, b, 0)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				offend(t, b, h.says)
				line := log.await(t, 1, "WARN")
				runtime.ReadMemStats(&after)
				if len(line) != 1 || !strings.Contains(line[0], "refused a connection") ||
					!strings.Contains(line[0], h.log) {
					t.Errorf("the log says %q, want one line with %q", line, h.log)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
					t.Errorf("%d bytes were allocated", n)
				}
				one := transport.Header{Kind: transport.Data, Seq: 9}
				if ok, err := l.Send(&one, [2][]byte{}); !ok || err != nil {
					t.Fatal(ok, err)
				}
				got, err := other.Next()
				for ; got == nil && err == nil; got, err = other.Next() {
					b.Wait(time.Time{})
				}
				if err != nil || got.Seq != 9 {
					t.Error(got, err)
				}
			})
		}
	}
}

// connectTo connects as a stranger does.
func connectTo(e *endpoint) (net.Conn, error) {
	network, address := ListensAt(e)
	return net.Dial(network, address)
}

// offend says something, ends its direction, and waits until the endpoint has hung up.
func offend(t *testing.T, e *endpoint, says []byte) {
	t.Helper()
	c, err := connectTo(e)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(says); err != nil {
		t.Logf("write: %v", err) // hung up on before it was through
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			t.Logf("close: %v", err)
		}
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Logf("read: %v", err) // a reset
	}
}

// TestManySilentStrangers: the places of those who say nothing are given to those who do.
func TestManySilentStrangers(t *testing.T) {
	log := newLines()
	a, b := rank(t, TCP, 0, nil), rank(t, TCP, 1, logging(log))
	for range attach.MaxHandshakes + 5 {
		c, err := connectTo(b)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if _, err := a.Dial(ctx, 1, b.Addresses()); err != nil {
		t.Fatal(err)
	}
	acceptFrom(t, b, 0)
}

// TestHostileFrames: a peer that has said hello, and then speaks nonsense, breaks its own link.
func TestHostileFrames(t *testing.T) {
	a, b := rank(t, TCP, 0, nil), rank(t, TCP, 1, nil)
	c := rank(t, TCP, 2, nil)
	bad, err := a.Dial(t.Context(), 1, b.Addresses())
	if err != nil {
		t.Fatal(err)
	}
	victim := acceptFrom(t, b, 0)
	good, err := c.Dial(t.Context(), 1, b.Addresses())
	if err != nil {
		t.Fatal(err)
	}
	fine := acceptFrom(t, b, 2)
	write(t, bad.(*link).fd, binary.BigEndian.AppendUint64([]byte{flagLong}, 1<<62))
	var h *transport.Header
	for ; err == nil; h, err = victim.Next() {
		if h != nil {
			t.Fatal(h)
		}
		b.Wait(time.Time{})
	}
	var frame *transport.FrameError
	if !errors.As(err, &frame) {
		t.Fatal(err)
	}
	one := transport.Header{Kind: transport.Data, Seq: 9}
	if ok, err := good.Send(&one, [2][]byte{}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	for h = nil; h == nil; {
		if h, err = fine.Next(); err != nil {
			t.Fatal(err)
		}
		if h == nil {
			b.Wait(time.Time{})
		}
	}
}
