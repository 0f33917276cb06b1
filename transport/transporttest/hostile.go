package transporttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/tutti-ml/tutti/transport"
)

var hostileTests = []subtest{
	{"StrangersDoNoHarm", (*suite).strangers},
	{"SilentStrangersBlockNobody", (*suite).silent},
}

// strangers connects as port scanners and broken peers do, once for each kind of greeting, while a
// link works, and after that new links must come about.
func (s *suite) strangers(t *testing.T) {
	if s.options.Raw == nil {
		t.Skip("the driver has no listening socket")
	}
	huge := binary.BigEndian.AppendUint64([]byte{0x06}, 1<<62)
	good := s.options.Greeting
	says := map[string][]byte{
		"nothing":       nil,
		"http":          []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"tls":           []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"ssh":           []byte("SSH-2.0-scanner\r\n"),
		"zeros":         make([]byte, 4096),
		"hostile":       append(append([]byte(nil), good...), huge...),
		"much rubbish":  filled(1<<20, 1),
		"truncated":     good[:len(good)/2],
		"greeting only": good,
	}
	for i := range good {
		b := append([]byte(nil), good...)
		b[i] ^= 0xff
		says[fmt.Sprintf("byte %d distorted", i)] = b
	}
	eps := s.open(t, 3)
	p := connect(t, eps, 0, 1)
	n := uint64(0)
	for name, b := range says {
		c := s.options.Raw(t, eps[1])
		if _, err := c.Write(b); err != nil {
			t.Logf("%s: %v", name, err) // refused early
		}
		n++
		p.put(p.a, frame(n, 5000), filled(5000, n))
		p.take(p.b, frame(n, 5000), filled(5000, n))
		if err := c.Close(); err != nil {
			t.Logf("%s: %v", name, err)
		}
		if l := eps[1].Accept(); l != nil {
			t.Fatalf("%s made a link: %v", name, l)
		}
	}
	q := connect(t, eps, 2, 1)
	q.put(q.a, frame(1, 10), filled(10, 1))
	q.take(q.b, frame(1, 10), filled(10, 1))
}

// silent keeps strangers connected who say nothing; others still get their links, and Close ends
// the strangers.
func (s *suite) silent(t *testing.T) {
	if s.options.Raw == nil {
		t.Skip("the driver has no listening socket")
	}
	eps := s.open(t, 2)
	var ended []chan error
	for range 20 {
		c := s.options.Raw(t, eps[1])
		end := make(chan error, 1)
		ended = append(ended, end)
		go func() {
			_, err := io.Copy(io.Discard, c)
			end <- errors.Join(err, c.Close())
		}()
	}
	p := connect(t, eps, 0, 1)
	p.put(p.a, frame(1, 10), filled(10, 1))
	p.take(p.b, frame(1, 10), filled(10, 1))
	for _, e := range []transport.Endpoint{eps[0], eps[1]} {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range ended {
		if err := <-end; err != nil {
			t.Logf("a stranger saw %v", err) // a reset is as good as an end
		}
	}
}
