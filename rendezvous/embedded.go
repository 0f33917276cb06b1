package rendezvous

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// Limits on connections to the embedded server.
const (
	maxConnections = 1 << 16
	maxStrangers   = 1 << 10 // connections that have not shown the password yet
)

// Server is a store inside this process, for a job that has no Redis. It keeps everything in
// memory: what it held is gone with the process.
type Server struct {
	redis    *miniredis.Miniredis
	listener net.Listener
	password string
	log      *slog.Logger
	accepted sync.WaitGroup

	mu        sync.Mutex
	members   int
	strangers int
	closed    bool
	left      chan struct{} // gets a hint whenever a connection has ended
}

// ServeEmbedded starts a store on one TCP address (port 0 picks a free one). With a secret, every
// connection must show a password derived from it; without one, only loopback addresses are served,
// and anybody on this host can use the store. It answers no other commands than Store sends. A nil
// logger discards. The error is a *StoreError. The caller must Close the Server.
func ServeEmbedded(address, secret string, logger *slog.Logger) (*Server, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &StoreError{
			Address: address, Phase: "address", Err: err,
			Remedy: "give host:port; port 0 picks a free one",
		}
	}
	if secret == "" && !isLoopback(host) {
		return nil, &StoreError{
			Address: address, Phase: "listen",
			Err:    errors.New("without a secret, anybody on the network could join the job"),
			Remedy: "set TUTTI_SECRET or TUTTI_SECRET_FILE on every rank, or serve on 127.0.0.1",
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &StoreError{
			Address: address, Phase: "listen", Err: err,
			Remedy: "free the port, or name another one in TUTTI_STORE on every rank",
		}
	}
	s := &Server{listener: listener, log: orDiscard(logger), left: make(chan struct{}, 1)}
	if secret != "" {
		s.password = storePassword(secret)
	}
	if s.redis, err = newMiniredis(s.password); err != nil {
		listener.Close()
		return nil, &StoreError{Address: address, Phase: "listen", Err: err}
	}
	s.accepted.Go(s.accept)
	return s, nil
}

// newMiniredis starts the server without a listener: the accept loop and the guard are ours.
func newMiniredis(password string) (*miniredis.Miniredis, error) {
	m := miniredis.NewMiniRedis()
	if password != "" {
		m.RequireAuth(password)
	}
	m.ClockTTL(true)
	first, err := m.Dial() // the first in-memory connection is what starts it
	if err != nil {
		return nil, err
	}
	if err := first.Close(); err != nil {
		m.Close()
		return nil, err
	}
	m.Server().SetPreHook(func(peer *server.Peer, command string, _ ...string) bool {
		if memberCommands[command] {
			return false
		}
		peer.WriteError(fmt.Sprintf("ERR %q is not a command of this store", clip(command, 20)))
		return true
	})
	return m, nil
}

// Addr is the address listened on, with the real port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL is what to give to ranks on this host as TUTTI_STORE; the password is not in it, they derive
// it from the secret. For ranks of other hosts put a name of this host in place of the address.
func (s *Server) URL() string { return "tutti://" + s.Addr().String() }

// Close ends all connections and waits for their goroutines. Closing twice is allowed.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	err := s.listener.Close()
	s.accepted.Wait()
	s.redis.Close()
	return err
}

// Connections counts the open connections that have shown the password.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.members
}

func (s *Server) accept() {
	pause := 5 * time.Millisecond
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, most likely: connections that end make room.
			s.log.Warn("embedded store cannot accept", "address", s.Addr(), "error", err)
			select {
			case <-s.left:
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		s.serve(conn)
	}
}

// serve admits one connection, or refuses it when there are too many.
func (s *Server) serve(conn net.Conn) {
	s.mu.Lock()
	full := s.members+s.strangers >= maxConnections || s.strangers >= maxStrangers
	if !full {
		s.strangers++
	}
	s.mu.Unlock()
	if full {
		s.log.Warn("embedded store refused a connection: too many", "peer", conn.RemoteAddr())
		conn.Close()
		return
	}
	member := false // guarded by s.mu
	s.redis.Server().ServeConn(newGuard(conn, s.password, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		member = true
		s.strangers--
		s.members++
	}, func(reason error) {
		s.mu.Lock()
		if member {
			s.members--
		} else {
			s.strangers--
		}
		s.mu.Unlock()
		select {
		case s.left <- struct{}{}:
		default:
		}
		if reason != nil {
			s.log.Debug("embedded store ended a connection", "peer", conn.RemoteAddr(),
				"reason", reason)
		}
	}))
}
