package rendezvous

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of what the embedded server takes from a connection. Before it has shown the password, a
// connection may say little and must hurry.
const (
	strangerTime      = 10 * time.Second
	strangerArguments = 8
	strangerBytes     = 4 << 10
	strangerRefusals  = 3
	memberArguments   = 1 << 10
	memberBytes       = MaxValueBytes + 64<<10
	guardWriteTimeout = 10 * time.Second
)

// strangerCommands are open to a connection that has not shown the password; the server itself
// answers PING and SELECT with a request for it.
var strangerCommands = map[string]bool{
	"HELLO": true, "AUTH": true, "PING": true, "SELECT": true, "QUIT": true,
}

// memberCommands are what Store needs; the embedded server answers nothing else.
var memberCommands = map[string]bool{
	"HELLO": true, "AUTH": true, "PING": true, "SELECT": true, "QUIT": true,
	"GET": true, "SET": true, "MGET": true, "INCRBY": true, "DEL": true, "PEXPIRE": true,
	"HGET": true, "HSET": true, "HSETNX": true, "HGETALL": true, "HLEN": true, "HDEL": true,
	"PUBLISH": true, "SUBSCRIBE": true, "UNSUBSCRIBE": true,
}

// guard stands between a connection and the embedded server, whose parser trusts lengths and
// shapes. Its Read yields whole, bounded, well-formed requests only, and ends the connection at
// anything else: a port scanner, an HTTP request, an oversized or empty command. It knows when the
// password has been shown, and compares it in constant time.
type guard struct {
	net.Conn
	password string
	source   *bufio.Reader
	pending  bytes.Buffer // a checked request that the server has not read yet
	member   bool
	refusals int
	onMember func()      // called once, when the connection has shown the password
	onEnd    func(error) // called once, with why the guard ended it; nil when the peer did

	writing sync.Mutex
	ended   sync.Once
}

// newGuard starts the clock of a connection; an empty password lets everybody in.
func newGuard(conn net.Conn, password string, onMember func(), onEnd func(error)) *guard {
	g := &guard{
		Conn: conn, password: password, source: bufio.NewReaderSize(conn, 4<<10),
		onMember: onMember, onEnd: onEnd,
	}
	if password == "" {
		g.admit()
	} else {
		conn.SetReadDeadline(time.Now().Add(strangerTime))
	}
	return g
}

func (g *guard) admit() {
	if !g.member {
		g.member = true
		g.SetReadDeadline(time.Time{})
		g.onMember()
	}
}

// Read implements net.Conn for the server's single reader goroutine.
func (g *guard) Read(p []byte) (int, error) {
	for g.pending.Len() == 0 {
		if err := g.request(); err != nil {
			g.end(err)
			return 0, err
		}
	}
	return g.pending.Read(p)
}

// Write bounds how long a peer that does not read can hold up the server.
func (g *guard) Write(p []byte) (int, error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	g.SetWriteDeadline(time.Now().Add(guardWriteTimeout))
	return g.Conn.Write(p)
}

// Close implements net.Conn.
func (g *guard) Close() error {
	g.end(nil)
	return g.Conn.Close()
}

func (g *guard) end(err error) {
	g.ended.Do(func() {
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			err = nil
		}
		g.onEnd(err)
	})
}

// errNotRequest is what a peer that does not speak the protocol causes.
var errNotRequest = errors.New("not a store request")

// request reads one whole request into pending.
func (g *guard) request() error {
	if g.pending.Cap() > 1<<20 {
		g.pending = bytes.Buffer{} // one large value must not pin its memory
	}
	g.pending.Reset()
	arguments, left := strangerArguments, strangerBytes
	if g.member {
		arguments, left = memberArguments, memberBytes
	}
	count, err := g.header('*', arguments)
	if err != nil {
		return err
	}
	if count < 1 {
		return errNotRequest
	}
	// Only the first arguments matter to the guard: HELLO 2 AUTH user password.
	spans := make([][2]int, 0, 5)
	for range count {
		length, err := g.header('$', left)
		if err != nil {
			return err
		}
		start := g.pending.Len()
		left -= length
		// CopyN grows with what has arrived, not with what was announced.
		if _, err := io.CopyN(&g.pending, g.source, int64(length)+2); err != nil {
			return err
		}
		if !bytes.HasSuffix(g.pending.Bytes()[start:], []byte("\r\n")) {
			return errNotRequest
		}
		if len(spans) < cap(spans) {
			spans = append(spans, [2]int{start, start + length})
		}
	}
	words := make([]string, len(spans))
	for i, span := range spans {
		if span[1]-span[0] <= 256 { // longer ones are values
			words[i] = string(g.pending.Bytes()[span[0]:span[1]])
		}
	}
	return g.inspect(words)
}

// header reads "*N" or "$N" with N up to limit.
func (g *guard) header(kind byte, limit int) (int, error) {
	const longest = len("$2147483647\r\n")
	line := make([]byte, 0, longest)
	for len(line) < longest {
		c, err := g.source.ReadByte()
		if err != nil {
			return 0, err
		}
		if len(line) == 0 && c != kind {
			return 0, errNotRequest
		}
		if line = append(line, c); c == '\n' {
			break
		}
	}
	digits, complete := bytes.CutSuffix(line[1:], []byte("\r\n"))
	n, err := strconv.ParseUint(string(digits), 10, 31)
	if !complete || err != nil {
		return 0, errNotRequest
	}
	if n > uint64(limit) {
		return 0, fmt.Errorf("a request of %c%d, the limit is %d", kind, n, limit)
	}
	g.pending.Write(line)
	return int(n), nil
}

// inspect decides whether the request may reach the server, and notices the password.
func (g *guard) inspect(words []string) error {
	command := strings.ToUpper(words[0])
	if g.member {
		return nil // commands outside the list get an answer from the server's hook
	}
	if !strangerCommands[command] {
		return fmt.Errorf("%q before the password", clip(command, 20))
	}
	user, password, offered := credentials(command, words)
	if !offered {
		return nil
	}
	if user == "default" && subtle.ConstantTimeCompare([]byte(password), []byte(g.password)) == 1 {
		g.admit()
		return nil
	}
	if g.refusals++; g.refusals >= strangerRefusals {
		return errors.New("wrong password, repeatedly")
	}
	return nil
}

// credentials finds user and password in AUTH [user] password and HELLO n AUTH user password.
func credentials(command string, words []string) (user, password string, offered bool) {
	switch {
	case command == "AUTH" && len(words) == 2:
		return "default", words[1], true
	case command == "AUTH" && len(words) == 3:
		return words[1], words[2], true
	case command == "HELLO" && len(words) == 5 && strings.EqualFold(words[2], "AUTH"):
		return words[3], words[4], true
	}
	return "", "", false
}
