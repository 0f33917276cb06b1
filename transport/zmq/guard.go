package zmq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// GreetingError is a connection whose other end does not greet as a ZeroMQ peer of this package's
// kind does.
type GreetingError struct {
	// What is wrong.
	What string
	// Said is what the other end sent so far, at most 64 bytes of it.
	Said []byte
}

func (e *GreetingError) Error() string {
	return fmt.Sprintf("%s: the other end said %q", e.What, e.Said)
}

const (
	greetingBytes = 64
	// maxReady bounds the command by which a peer tells its properties, in bytes.
	maxReady = 1024
)

// greet exchanges the ZMTP greeting and the NULL handshake on conn. Nothing of what the other end
// sends reaches zmq4 before the guard has checked it: zmq4 allocates what a length says and panics
// at a property that is cut or a socket type that it doesn't know. No byte beyond the handshake is
// read. Deadlines are the caller's.
func greet(conn net.Conn, kind zmq4.SocketType, server bool) error {
	g := &guard{Conn: conn, kind: kind}
	_, err := zmq4.Open(g, null.Security(), kind, nil, server, nil)
	if g.err != nil {
		return g.err // says more than what zmq4 makes of it
	}
	return err
}

// guard hands on what the other end sends in the handshake, and only what is right.
type guard struct {
	net.Conn
	kind  zmq4.SocketType
	stage int    // 0: the greeting is next, 1: the READY, 2: nothing more
	ready []byte // checked, and not handed on yet
	err   error  // the first, for ever
}

// Read hands on at most len(p) checked bytes.
func (g *guard) Read(p []byte) (int, error) {
	if g.err == nil && len(g.ready) == 0 {
		switch g.stage {
		case 0:
			g.ready, g.err = g.readGreeting()
		case 1:
			g.ready, g.err = g.readReady()
		default:
			g.err = errors.New("nothing is to be read after the handshake")
		}
		g.stage++
	}
	if g.err != nil {
		return 0, g.err
	}
	n := copy(p, g.ready)
	g.ready = g.ready[n:]
	return n, nil
}

// readGreeting reads the 64 bytes and gives up at the first that is wrong: who speaks another
// protocol may send fewer than that and wait.
func (g *guard) readGreeting() ([]byte, error) {
	b := make([]byte, greetingBytes)
	for n := 0; n < greetingBytes; {
		k, err := g.Conn.Read(b[n:])
		n += k
		if what := wrongGreeting(b[:n]); what != "" {
			return nil, &GreetingError{What: what, Said: b[:n]}
		}
		if err != nil && n < greetingBytes {
			if n > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("after %d bytes of the ZMTP greeting: %w", n, err)
		}
	}
	return b, nil
}

// wrongGreeting says what is wrong with a greeting as far as it has come.
func wrongGreeting(b []byte) string {
	n := len(b)
	switch {
	case n > 0 && b[0] != 0xff, n > 9 && b[9] != 0x7f:
		return "not ZeroMQ"
	case n > 10 && b[10] < 3:
		return fmt.Sprintf("ZMTP %d, not 3", b[10])
	case n > 31 && !bytes.Equal(bytes.TrimRight(b[12:32], "\x00"), []byte("NULL")):
		return "another ZMTP security mechanism than NULL"
	case n > 32 && b[32] > 1:
		return "a ZMTP greeting whose mark of a server is neither 0 nor 1"
	}
	return ""
}

// readReady reads the READY command and returns one that says the same in the form that zmq4 needs.
func (g *guard) readReady() ([]byte, error) {
	m := &messages{rw: g.Conn}
	p, err := m.readPrefix()
	if err != nil {
		return nil, fmt.Errorf("in place of READY: %w", err)
	}
	if !p.command() || p.size > maxReady {
		return nil, &GreetingError{
			What: fmt.Sprintf("a ZMTP frame with flags %d and %d bytes in place of READY", p.flags, p.size),
		}
	}
	body := make([]byte, p.size)
	if _, err := io.ReadFull(g.Conn, body); err != nil {
		return nil, fmt.Errorf("in the READY: %w", err)
	}
	name, data, err := command(body)
	if err != nil {
		return nil, err
	}
	if name == "ERROR" {
		return nil, newPeerError(data)
	}
	said := body[:min(len(body), greetingBytes)]
	if name != "READY" {
		return nil, &GreetingError{What: "another ZMTP command in place of READY", Said: said}
	}
	kind, ok := socketType(data)
	if !ok {
		return nil, &GreetingError{What: "a READY with properties that are cut", Said: said}
	}
	if !compatible(kind, g.kind) {
		what := fmt.Sprintf("socket type %q, which can't talk to %s", kind, g.kind)
		return nil, &GreetingError{What: what, Said: said}
	}
	return appendReady(nil, kind), nil
}

// socketType walks the properties and returns the socket type, "" when it is missing; ok is false
// when they are cut.
func socketType(b []byte) (kind string, ok bool) {
	for len(b) > 0 {
		n := int(b[0])
		if n == 0 || len(b) < 1+n+4 {
			return "", false
		}
		name := b[1 : 1+n]
		size := binary.BigEndian.Uint32(b[1+n:])
		b = b[1+n+4:]
		if uint64(size) > uint64(len(b)) {
			return "", false
		}
		if bytes.EqualFold(name, []byte("Socket-Type")) {
			kind = string(b[:size])
		}
		b = b[size:]
	}
	return kind, true
}

// compatible tells whether sockets of these types can be connected. PAIR is what links use; DEALER
// is there because a peer written with any ZeroMQ library may prefer it.
func compatible(peer string, kind zmq4.SocketType) bool {
	switch kind {
	case zmq4.Pair:
		return peer == "PAIR"
	case zmq4.Dealer:
		return peer == "DEALER" || peer == "ROUTER"
	}
	return false
}

func appendReady(b []byte, kind string) []byte {
	body := append([]byte{5}, "READY"...)
	body = append(body, 11)
	body = append(body, "Socket-Type"...)
	body = binary.BigEndian.AppendUint32(body, uint32(len(kind)))
	body = append(body, kind...)
	return append(append(b, flagCommand, byte(len(body))), body...)
}
