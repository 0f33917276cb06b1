package zmq

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tutti-ml/tutti/transport"
)

// The flags of a ZMTP frame, and the sizes of its two prefixes.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4

	shortPrefix = 2
	longPrefix  = 9

	// maxCommand bounds the body of a command, in bytes. Those of the NULL mechanism that can come
	// after the handshake need 21 (PING) and 262 (ERROR).
	maxCommand = 512
	// maxContext bounds what a PING carries for its PONG, by the protocol.
	maxContext = 16
)

// prefix is what stands before the body of a ZMTP frame.
type prefix struct {
	flags byte
	bytes int // of the prefix itself
	size  uint64
}

func (p prefix) command() bool { return p.flags&flagCommand != 0 }
func (p prefix) more() bool    { return p.flags&flagMore != 0 }

// parsePrefix reads the prefix at the start of b; ok is false while b is too short. The error is a
// *transport.FrameError. The size is as the wire says: anything.
func parsePrefix(b []byte) (p prefix, ok bool, err error) {
	if len(b) == 0 {
		return p, false, nil
	}
	p.flags = b[0]
	if p.flags&^(flagMore|flagLong|flagCommand) != 0 || p.command() && p.more() {
		return p, false, &transport.FrameError{
			Field: "ZMTP flags", Got: uint64(p.flags), Want: "0 to 3, or 4 or 6",
		}
	}
	if p.flags&flagLong == 0 {
		if len(b) < shortPrefix {
			return p, false, nil
		}
		p.bytes, p.size = shortPrefix, uint64(b[1])
		return p, true, nil
	}
	if len(b) < longPrefix {
		return p, false, nil
	}
	p.bytes, p.size = longPrefix, binary.BigEndian.Uint64(b[1:])
	return p, true, nil
}

// putPrefix writes the long prefix of a body of size bytes into b.
func putPrefix(b []byte, flags byte, size int) {
	b[0] = flags | flagLong
	binary.BigEndian.PutUint64(b[1:longPrefix], uint64(size))
}

// command takes the body of a ZMTP command apart. The error is a *transport.FrameError.
func command(body []byte) (name string, data []byte, err error) {
	if len(body) == 0 || int(body[0]) > len(body)-1 {
		return "", nil, &transport.FrameError{
			Field: "length of a ZMTP command", Got: uint64(len(body)), Want: "a name and its data",
		}
	}
	n := 1 + int(body[0])
	return string(body[1:n]), body[n:], nil
}

// pingContext returns what the PONG to a PING with this data has to carry: what follows the
// time-to-live of two bytes.
func pingContext(data []byte) []byte {
	if len(data) <= 2 {
		return nil
	}
	return data[2:min(len(data), 2+maxContext)]
}

// maxPong is the size of the longest PONG, prefix included.
const maxPong = shortPrefix + 1 + 4 + maxContext

// appendPong appends a PONG with its prefix.
func appendPong(b, context []byte) []byte {
	b = append(b, flagCommand, byte(1+4+len(context)), 4)
	b = append(b, "PONG"...)
	return append(b, context...)
}

// peerError is the ERROR command by which the other end says why it gives up.
type peerError struct{ reason string }

func (e *peerError) Error() string { return fmt.Sprintf("the other end reports %q", e.reason) }

func newPeerError(data []byte) *peerError {
	if len(data) > 0 {
		data = data[1:][:min(int(data[0]), len(data)-1)]
	}
	return &peerError{reason: string(data)}
}

// messages reads and writes whole ZMTP frames on a blocking stream, and not a byte beyond. It is
// for what comes before a link: the hello. PINGs are answered, other commands passed over.
type messages struct {
	rw    io.ReadWriter
	limit int    // of a body, in bytes
	buf   []byte // the last body read
}

func newMessages(rw io.ReadWriter, limit int) *messages {
	return &messages{rw: rw, limit: limit, buf: make([]byte, max(limit, maxCommand))}
}

// read returns the next part of a message, and whether more parts follow. The memory is valid until
// the next read.
func (m *messages) read() (body []byte, more bool, err error) {
	for {
		p, err := m.readPrefix()
		if err != nil {
			return nil, false, err
		}
		limit := m.limit
		if p.command() {
			limit = maxCommand
		}
		if p.size > uint64(limit) {
			return nil, false, &transport.FrameError{
				Field: "ZMTP length", Got: p.size, Want: fmt.Sprint("at most ", limit),
			}
		}
		body := m.buf[:p.size]
		if _, err := io.ReadFull(m.rw, body); err != nil {
			return nil, false, err
		}
		if !p.command() {
			return body, p.more(), nil
		}
		if err := m.obey(body); err != nil {
			return nil, false, err
		}
	}
}

func (m *messages) readPrefix() (prefix, error) {
	var b [longPrefix]byte
	if _, err := io.ReadFull(m.rw, b[:shortPrefix]); err != nil {
		return prefix{}, err
	}
	p, ok, err := parsePrefix(b[:shortPrefix])
	if ok || err != nil {
		return p, err
	}
	if _, err := io.ReadFull(m.rw, b[shortPrefix:]); err != nil {
		return prefix{}, err
	}
	p, _, err = parsePrefix(b[:])
	return p, err
}

func (m *messages) obey(body []byte) error {
	name, data, err := command(body)
	if err != nil {
		return err
	}
	switch name {
	case "ERROR":
		return newPeerError(data)
	case "PING":
		_, err = m.rw.Write(appendPong(make([]byte, 0, maxPong), pingContext(data)))
	}
	return err
}

// write sends one part of a message; more says that further ones follow.
func (m *messages) write(body []byte, more bool) error {
	flags := byte(0)
	if more {
		flags = flagMore
	}
	b := make([]byte, longPrefix, longPrefix+len(body))
	putPrefix(b, flags, len(body))
	_, err := m.rw.Write(append(b, body...))
	return err
}

// exchange is the hello's view of the messages: each is one part.
func (m *messages) exchange() transport.Exchange {
	return transport.Exchange{
		Send: func(message []byte) error { return m.write(message, false) },
		Recv: func() ([]byte, error) {
			body, more, err := m.read()
			if err == nil && more {
				err = &transport.FrameError{Field: "ZMTP flags", Got: flagMore, Want: "one part"}
			}
			return body, err
		},
	}
}
