package collective

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// script is where a fuzzed network takes its decisions from; when it is at its end, all are 0.
type script struct {
	mu   sync.Mutex
	data []byte
}

func (s *script) byte() byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

func (s *script) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.data) == 0
}

var errScript = errors.New("the script breaks the link")

// fakeEndpoint is the attachment of one rank to peers that the script plays. Bytes arrive while the
// rank waits. When the script is over, atEnd is called at every wait.
type fakeEndpoint struct {
	*script
	size  int
	frame func(e *fakeEndpoint, peer int) (transport.Header, []byte)
	atEnd func()
	links []*fakeLink
	fresh []*fakeLink // not accepted yet
}

func (e *fakeEndpoint) Addresses() []byte { return nil }

func (e *fakeEndpoint) link(peer int) *fakeLink {
	l := &fakeLink{endpoint: e, peer: peer}
	e.links = append(e.links, l)
	return l
}

// Dial may be called by any goroutine, unlike what makes and moves links.
func (e *fakeEndpoint) Dial(context.Context, int, []byte) (transport.Link, error) {
	return nil, &transport.LinkError{Phase: "dial", Err: errScript}
}

func (e *fakeEndpoint) Accept() transport.Link {
	if len(e.fresh) == 0 {
		return nil
	}
	l := e.fresh[0]
	e.fresh = e.fresh[1:]
	return l
}

// Wait plays an act of the script. When that is over it lets time go by.
func (e *fakeEndpoint) Wait(deadline time.Time) {
	if e.over() {
		e.atEnd()
		time.Sleep(min(time.Until(deadline), time.Millisecond))
		return
	}
	act := e.byte()
	if act < 16 || len(e.links) == 0 {
		peer := int(e.byte()) % (e.size + 1) // one of them is no rank of the job
		e.fresh = append(e.fresh, e.link(peer))
		return
	}
	l := e.links[int(e.byte())%len(e.links)]
	switch {
	case act < 24:
		l.broken = errScript
	case act < 32:
		l.refuse = int(e.byte()) % 8
	case act < 160 || len(l.frames) == 0:
		h, payload := e.frame(e, l.peer)
		l.frames = append(l.frames, &fakeFrame{header: h, payload: payload})
		l.arrive(int(e.byte()) * 16)
	default:
		l.arrive(int(e.byte()) * 64)
	}
}

func (e *fakeEndpoint) Wake() {}

func (e *fakeEndpoint) Close() error { return nil }

// fakeFrame is a frame on its way: here is how much of its payload has arrived.
type fakeFrame struct {
	header  transport.Header
	payload []byte
	here    int
	shown   bool // Next has returned it
}

type fakeLink struct {
	endpoint *fakeEndpoint
	peer     int
	frames   []*fakeFrame
	refuse   int // sends to be refused
	taken    uint64
	broken   error
}

// arrive lets bytes of the frames come in, in order.
func (l *fakeLink) arrive(n int) {
	for _, f := range l.frames {
		k := min(n, len(f.payload)-f.here)
		f.here += k
		n -= k
		if f.here < len(f.payload) {
			return
		}
	}
}

func (l *fakeLink) Peer() int      { return l.peer }
func (l *fakeLink) String() string { return "a fake link" }

func (l *fakeLink) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if int(h.Length) != len(pieces[0])+len(pieces[1]) {
		panic("a frame whose length is not that of its pieces")
	}
	if l.broken != nil {
		return false, l.broken
	}
	if l.refuse > 0 {
		l.refuse--
		return false, nil
	}
	l.taken++
	return true, nil
}

func (l *fakeLink) Sent() (uint64, error) { return l.taken, l.broken }

func (l *fakeLink) Reclaim() {}

func (l *fakeLink) Next() (*transport.Header, error) {
	if len(l.frames) > 0 && l.frames[0].shown && len(l.frames[0].payload) == 0 {
		l.frames = l.frames[1:]
	}
	if len(l.frames) == 0 || l.broken != nil && l.frames[0].here < len(l.frames[0].payload) {
		return nil, l.broken
	}
	l.frames[0].shown = true
	return &l.frames[0].header, nil
}

func (l *fakeLink) Read(dst []byte) (int, error) {
	b, err := l.Peek()
	n := copy(dst, b)
	l.Discard(n)
	return n, err
}

func (l *fakeLink) Peek() ([]byte, error) {
	if len(l.frames) == 0 || !l.frames[0].shown {
		return nil, l.broken
	}
	f := l.frames[0]
	if f.here == 0 && len(f.payload) > 0 {
		return nil, l.broken
	}
	return f.payload[:f.here:f.here], nil
}

func (l *fakeLink) Discard(n int) {
	if n == 0 {
		return
	}
	f := l.frames[0]
	f.payload, f.here = f.payload[n:], f.here-n
	if len(f.payload) == 0 {
		l.frames = l.frames[1:]
	}
}

func (l *fakeLink) Close() error {
	l.broken = transport.ErrClosed
	l.frames = nil
	return nil
}
