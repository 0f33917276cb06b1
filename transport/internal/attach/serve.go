//go:build linux || darwin

package attach

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// MaxHandshakes is how many connections that have not said hello an endpoint has at once.
const MaxHandshakes = 64

// acceptPause is how long Serve waits after the system could not give it a connection.
const acceptPause = 100 * time.Millisecond

// Serve takes the connections that come from there until the endpoint closes. Each says hello in a
// goroutine of its own, by welcome, which owns it and makes the link that Accept returns; one
// without link and error is another matter.
func (s *Links[L]) Serve(from net.Listener, welcome func(net.Conn) (L, error)) {
	s.group.Go(func() { s.serve(from, welcome) })
}

func (s *Links[L]) serve(from net.Listener, welcome func(net.Conn) (L, error)) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		conn, err := from.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			// As a rule too many open files: the connection stays in the system's queue.
			s.Report("can't take a connection", "at", Name(from.Addr()), "error", err, "remedy",
				s.of.Remedy(err))
			pause.Reset(acceptPause)
			select {
			case <-pause.C:
			case <-s.ctx.Done():
				return
			}
			continue
		}
		mine := s.places.take(s.ctx, conn)
		s.group.Go(func() {
			defer s.places.release(mine)
			s.receive(conn, welcome)
		})
	}
}

// receive does the accepting end of a handshake, and queues the link that comes of it.
func (s *Links[L]) receive(conn net.Conn, welcome func(net.Conn) (L, error)) {
	at, from := Name(conn.LocalAddr()), Name(conn.RemoteAddr())
	l, err := welcome(conn)
	var none L
	if err == nil && l != none {
		s.of.Config.Logger.Debug(s.of.Driver+": accepted", "link", l)
		s.queue(l)
	}
	if err != nil && s.ctx.Err() == nil {
		failure := transport.HelloLinkError(s.of.Config.Rank, from, err)
		s.Report("refused a connection", "at", at, "from", from, "error", err, "claimed rank",
			failure.Peer, "remedy", s.of.Remedy(err))
	}
}

// Report warns of what strangers cause, but not without limit.
func (s *Links[L]) Report(text string, args ...any) {
	s.refusals.report(s.of.Driver+": "+text, append([]any{"rank", s.of.Config.Rank}, args...)...)
}

// places are those of connections in their handshake. Who is silent keeps its place for as long as
// nobody else needs it, and then gives way after some time.
type places struct {
	giveWay time.Duration
	mu      sync.Mutex
	taken   []*place // by age
	freed   chan struct{}
}

type place struct {
	conn  net.Conn
	since time.Time
}

// take gives conn a place. It waits when there is none, at most until the oldest connection has
// had its time.
func (s *places) take(ctx context.Context, conn net.Conn) *place {
	mine := &place{conn: conn, since: time.Now()}
	timer := time.NewTimer(s.giveWay)
	defer timer.Stop()
	for {
		s.mu.Lock()
		if s.freed == nil {
			s.freed = make(chan struct{}, 1)
		}
		if len(s.taken) < MaxHandshakes {
			s.taken = append(s.taken, mine)
			s.mu.Unlock()
			return mine
		}
		oldest := s.taken[0]
		wait := time.Until(oldest.since.Add(s.giveWay))
		if wait <= 0 || ctx.Err() != nil {
			_ = oldest.conn.SetDeadline(past) // its handshake ends with an error
			s.taken = append(s.taken[1:], mine)
			s.mu.Unlock()
			return mine
		}
		s.mu.Unlock()
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.freed:
		case <-ctx.Done():
		}
	}
}

func (s *places) release(mine *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.taken, mine); i >= 0 {
		s.taken = slices.Delete(s.taken, i, i+1)
	}
	select {
	case s.freed <- struct{}{}:
	default:
	}
}
