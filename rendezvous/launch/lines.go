package launch

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// maxLineBytes is how much of a line without an end is held back; a longer one is broken.
const maxLineBytes = 256 << 10

// sink is a destination that several ranks share: one whole line at a time. Sinks share a lock too,
// since their destinations may be one.
type sink struct {
	mu        *sync.Mutex
	to        io.Writer
	timestamp bool
	line      []byte // reused
	err       error  // the first failure; later output is dropped
}

// write puts a line, which has no newline at its end, behind its prefix.
func (s *sink) write(prefix string, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.line = s.line[:0]
	if s.timestamp {
		s.line = time.Now().AppendFormat(s.line, "15:04:05.000 ")
	}
	s.line = append(s.line, prefix...)
	s.line = append(s.line, line...)
	s.line = append(s.line, '\n')
	_, s.err = s.to.Write(s.line)
}

// failure is why output was lost, if it was.
func (s *sink) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// lines cuts one rank's stream into lines.
type lines struct {
	sink   *sink
	prefix string
	rest   []byte // of a line whose end has not come yet
}

// Write implements io.Writer; it never fails, since a rank must not notice that the launcher's
// output is closed before the launcher does.
func (l *lines) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			l.hold(p)
			break
		}
		if len(l.rest) > 0 {
			l.hold(p[:end])
			l.Flush()
		} else {
			l.sink.write(l.prefix, p[:end])
		}
		p = p[end+1:]
	}
	return written, nil
}

// hold keeps the beginning of a line, and breaks it when it grows too long.
func (l *lines) hold(p []byte) {
	for len(l.rest)+len(p) > maxLineBytes {
		part := maxLineBytes - len(l.rest)
		l.rest = append(l.rest, p[:part]...)
		l.Flush()
		p = p[part:]
	}
	l.rest = append(l.rest, p...)
}

// Flush writes what is held as a line.
func (l *lines) Flush() {
	if len(l.rest) > 0 {
		l.sink.write(l.prefix, l.rest)
		l.rest = l.rest[:0]
	}
}
