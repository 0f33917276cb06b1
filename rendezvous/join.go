package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// lingerTime bounds how long the rank that serves the store keeps it up, in Close, for ranks that
// have not yet read the end of the roll call.
const lingerTime = 5 * time.Second

// Options tune Join; the zero value is useful.
type Options struct {
	// Timeout bounds Join where its context has no deadline; 0 means DefaultTimeout.
	Timeout time.Duration
	// Patience is how often a progress line is logged; 0 means 5 s.
	Patience time.Duration
	// Lease is RollCallOptions.Lease.
	Lease time.Duration
	// Logger receives progress; nil discards it.
	Logger *slog.Logger
}

// Session is what Join returns: who is there, and the store, open until Close.
type Session struct {
	members    []Member
	generation int64
	store      Store
	hosted     hosted
	finished   string // the key that counts the ranks which need the store no longer
	closing    sync.Once
	closeError error
}

// hosted is the server that this process runs for the session, if it runs one.
type hosted struct {
	server *Server
	stop   func() // for the store of a process alone, which has no Server
	db     int
}

// Members returns all ranks of the job, ordered by rank. The slice is the caller's; the Addresses
// are shared and must not be changed.
func (s *Session) Members() []Member { return slices.Clone(s.members) }

// Generation counts the rolls of this job on its store, from 1: a restarted job has a higher one.
func (s *Session) Generation() int64 { return s.generation }

// Store is the store that the ranks met through. It belongs to the session and ends with it. Where
// rank 0 serves it, calls fail with *StoreError once rank 0 has closed its session: a store is
// needed to join, not to run.
func (s *Session) Store() Store { return s.store }

// Close closes the store. Where this process serves it, Close first waits, a few seconds at most,
// for ranks that have not yet read the end of the roll call. Closing twice is allowed.
func (s *Session) Close() error {
	s.closing.Do(func() {
		s.closeError = s.store.Close()
		if s.hosted.server != nil {
			s.linger()
			s.closeError = errors.Join(s.closeError, s.hosted.server.Close())
		}
		if s.hosted.stop != nil {
			s.hosted.stop()
		}
	})
	return s.closeError
}

// linger waits until the others have finished the roll call, or none of them is connected.
func (s *Session) linger() {
	server := s.hosted.server
	deadline := time.NewTimer(lingerTime)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for server.Connections() > 0 && !s.allFinished() {
		select {
		case <-deadline.C:
			return
		case <-look.C:
		case <-server.left:
		}
	}
}

func (s *Session) allFinished() bool {
	if s.finished == "" {
		return false
	}
	text, err := s.hosted.server.redis.DB(s.hosted.db).Get(s.finished)
	if err != nil {
		return false // nobody has, or the count cannot be read
	}
	n, err := strconv.Atoi(text)
	return err == nil && n >= len(s.members)-1
}

// Join meets the other ranks that env tells of. Where env.Store is embedded://, rank 0 serves the
// store; all dial it, retrying until ctx ends, and call the roll. A process alone (Size 1, or 0 for
// no launcher) needs no store and no network.
//
// Of self, Rank is taken from env, and Host, HostID and PID are filled in where they are zero. The
// errors are those of ServeEmbedded, Dial and RollCall, and *EnvironmentError where env does not
// say where to meet. The caller must Close the session; what it returned stays valid.
func Join(ctx context.Context, env Environment, self Member, o Options) (*Session, error) {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	ctx, cancel := withDefaultTimeout(ctx, o.Timeout)
	defer cancel()
	if env.Size == 0 {
		env.Rank, env.Size = 0, 1
	}
	self, err := identify(self, env.Rank)
	if err != nil {
		return nil, err
	}
	if err := self.check(env.Size); err != nil {
		return nil, &EnvironmentError{
			Variable: "TUTTI_RANK", Value: strconv.Itoa(env.Rank),
			Expected: "a place within the job, described within the limits", Err: err,
		}
	}
	if env.Store == "" {
		if env.Size > 1 {
			return nil, &EnvironmentError{
				Variable: "TUTTI_STORE",
				Expected: fmt.Sprintf("an address where the %d ranks meet", env.Size),
				Remedy:   storeRemedy(env.Launcher),
			}
		}
		return joinAlone(self)
	}
	s, err := openStore(ctx, env, o)
	if err != nil {
		return nil, err
	}
	result, err := callRoll(ctx, s.store, RollCallOptions{
		Job: env.Job, Self: self, Size: env.Size,
		Patience: o.Patience, Lease: o.Lease, Logger: o.Logger, Secret: []byte(env.Secret),
	})
	if err != nil {
		return nil, joinErrors(err, s.Close())
	}
	s.members, s.generation = result.members, result.generation
	if env.Size > 1 {
		c := call{job: jobPrefix(env.Job)}
		s.finished = c.finishedKey(result.rollID)
	}
	return s, nil
}

// joinErrors keeps the first error's type and text when closing went well.
func joinErrors(err, closing error) error {
	if closing == nil {
		return err
	}
	return errors.Join(err, closing)
}

// identify fills in what a process knows about itself.
func identify(self Member, rank int) (Member, error) {
	self.Rank = rank
	if self.PID == 0 {
		self.PID = os.Getpid()
	}
	var err error
	if self.Host == "" {
		if self.Host, err = os.Hostname(); err != nil {
			return self, fmt.Errorf("rendezvous: this host's name: %w", err)
		}
	}
	if self.HostID == "" {
		self.HostID, err = HostID()
	}
	return self, err
}

// joinAlone makes the session of a job of one, with a store in memory.
func joinAlone(self Member) (*Session, error) {
	m, err := newMiniredis("")
	if err != nil {
		return nil, fmt.Errorf("rendezvous: store in memory: %w", err)
	}
	u := storeURL{scheme: "tutti", network: "tcp", host: "memory", port: "0"}
	store := newRedisStore(u, func(context.Context) (net.Conn, error) { return m.Dial() })
	return &Session{
		members: []Member{self}, generation: 1, store: store,
		hosted: hosted{stop: m.Close},
	}, nil
}

// openStore serves the store where that is this rank's part, and dials it.
func openStore(ctx context.Context, env Environment, o Options) (*Session, error) {
	u, err := parseStoreURL(env.Store)
	if err != nil {
		return nil, &StoreError{
			Address: redactURL(env.Store), Phase: "address", Err: err,
			Remedy: "set TUTTI_STORE to one of " + storeForms,
		}
	}
	s, target := new(Session), env.Store
	if u.scheme == "embedded" {
		if env.LocalSize == env.Size {
			u.host = "127.0.0.1" // nobody else need reach it
		}
		if env.Rank == 0 {
			if s.hosted.server, err = serveWhenFree(ctx, u, env.Secret, o); err != nil {
				return nil, err
			}
			s.hosted.db = u.db
			if !isLoopback(u.host) {
				u.host = "127.0.0.1" // the own name need not be known yet
			}
		}
		target = fmt.Sprintf("embedded://%s/%d", u.address(), u.db)
	}
	s.store, err = Dial(ctx, target, DialOptions{
		Secret: env.Secret, Patience: o.Patience,
		Logger: o.Logger,
	})
	if err != nil {
		if s.hosted.server != nil {
			return nil, joinErrors(err, s.hosted.server.Close())
		}
		return nil, err
	}
	return s, nil
}

// serveWhenFree starts the embedded store: on loopback where the ranks were told a loopback
// address, else on all interfaces, since the name they were told may be a service's or a gateway's.
// The port of a run that has just been killed may take a moment to become free.
func serveWhenFree(ctx context.Context, u storeURL, secret string, o Options) (*Server, error) {
	address, log := u.address(), orDiscard(o.Logger)
	if !isLoopback(u.host) {
		address = net.JoinHostPort("", u.port)
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		server, err := ServeEmbedded(address, secret, o.Logger)
		if err == nil {
			log.Info("rank 0 serves the store", "address", server.Addr(), "for", u.address())
			return server, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
		if pause >= longestPause {
			log.Info("waiting for the store's port to become free", "address", address)
		}
		if !pauseFor(ctx, pause) {
			return nil, err
		}
	}
}
