package rendezvous

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// DefaultTimeout bounds Dial, RollCall and Join where their context has no deadline: nothing here
// waits for ever.
const DefaultTimeout = 5 * time.Minute

// Limits of one connection attempt and of the pauses between them.
const (
	connectTimeout  = 5 * time.Second
	commandTimeout  = 10 * time.Second
	firstPause      = 20 * time.Millisecond
	longestPause    = time.Second
	defaultPatience = 5 * time.Second
)

// DialOptions tune Dial; the zero value is useful.
type DialOptions struct {
	// Secret is the job's secret; a store that Tutti serves takes its password from it.
	Secret string
	// Patience is how often Dial logs what it waits for; 0 means 5 s.
	Patience time.Duration
	// Logger receives progress; nil discards it.
	Logger *slog.Logger
}

// Dial connects to the store at url. A name that DNS does not know yet, a refused connection and a
// server that is still loading are retried until ctx ends (or DefaultTimeout, where ctx has no
// deadline); a refused password, a malformed url and a server that is not Redis are final. The
// error is a *StoreError.
func Dial(ctx context.Context, url string, o DialOptions) (Store, error) {
	u, err := parseStoreURL(url)
	if err != nil {
		return nil, &StoreError{
			Address: redactURL(url), Phase: "address", Err: err,
			Remedy: "use one of " + storeForms,
		}
	}
	ctx, cancel := withDefaultTimeout(ctx, DefaultTimeout)
	defer cancel()
	d := &dialer{url: u, start: time.Now(), log: orDiscard(o.Logger), patience: o.Patience}
	if d.patience <= 0 {
		d.patience = defaultPatience
	}
	if u.embedded() && o.Secret != "" {
		d.url.password = storePassword(o.Secret)
	}
	return d.dial(ctx)
}

// dialer is one Dial under way.
type dialer struct {
	url      storeURL
	log      *slog.Logger
	patience time.Duration
	start    time.Time
	attempts int
	strange  int // answers that are not Redis's
}

// strangeLimit is how many answers that are not Redis's make it certain that this is no store.
const strangeLimit = 3

// dial tries until it succeeds, fails for good or runs out of time.
func (d *dialer) dial(ctx context.Context) (Store, error) {
	pause, nextReport := firstPause, d.patience
	var last *StoreError
	for {
		d.attempts++
		store, failure := d.attempt(ctx)
		if failure == nil {
			return store, nil
		}
		// The end of ctx hides what was wrong before it: keep the earlier cause.
		if last == nil || ctx.Err() == nil {
			last = failure
		}
		last.Attempts, last.Waited = d.attempts, time.Since(d.start)
		if ctx.Err() != nil {
			last.Err = fmt.Errorf("%w (%w)", last.Err, context.Cause(ctx))
			return nil, last
		}
		if d.final(failure) {
			return nil, failure
		}
		if last.Waited >= nextReport {
			nextReport += d.patience
			d.log.Info("waiting for the store", "address", last.Address, "phase", last.Phase,
				"attempts", last.Attempts, "waited", readable(last.Waited), "cause", last.Err)
		}
		if !pauseFor(ctx, pause) {
			continue // one more attempt fails at once and reports
		}
		pause = min(2*pause, longestPause)
	}
}

// final says whether trying again is pointless.
func (d *dialer) final(failure *StoreError) bool {
	if failure.Phase == "auth" {
		return true
	}
	if (failure.Phase == "ping" || failure.Phase == "tls") && isStrange(failure.Err) {
		d.strange++
	}
	return d.strange >= strangeLimit
}

// isStrange recognises answers that no Redis gives: neither a network error nor a Redis error.
func isStrange(err error) bool {
	var network net.Error
	var answer redis.Error
	return !errors.As(err, &network) && !errors.As(err, &answer) && !errors.Is(err, io.EOF) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// attempt looks the name up, connects and pings once. The connection is made here rather than by
// the client, so that the phase is known and the client has no failure to log by itself.
func (d *dialer) attempt(ctx context.Context) (Store, *StoreError) {
	phase := "lookup"
	if d.url.network == "unix" || net.ParseIP(d.url.host) != nil {
		phase = "connect"
	} else if _, err := net.DefaultResolver.LookupHost(ctx, d.url.host); err != nil {
		return nil, d.failure(phase, err)
	}
	probe, err := connect(ctx, d.url)
	if err != nil {
		return nil, d.failure("connect", err)
	}
	if probe, err = secure(ctx, probe, d.url); err != nil {
		return nil, d.failure("tls", err)
	}
	first := &firstConnection{conn: probe}
	defer first.discard()
	store := newRedisStore(d.url, func(ctx context.Context) (net.Conn, error) {
		if conn := first.take(); conn != nil {
			return conn, nil
		}
		conn, err := connect(ctx, d.url)
		if err != nil {
			return nil, err
		}
		return secure(ctx, conn, d.url)
	})
	if err := store.Ping(ctx); err != nil {
		store.Close()
		phase = "ping"
		if isRefusal(err) {
			phase = "auth"
		}
		return nil, d.failure(phase, err)
	}
	return store, nil
}

// failure wraps err with the remedy that fits the phase.
func (d *dialer) failure(phase string, err error) *StoreError {
	if inner := (*StoreError)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	e := &StoreError{
		Address: d.url.address(), Phase: phase, Attempts: d.attempts,
		Waited: time.Since(d.start), Err: err,
	}
	switch phase {
	case "lookup":
		e.Remedy = "check the host name in TUTTI_STORE or MASTER_ADDR; in Kubernetes, that the " +
			"headless service exists and publishes addresses that are not ready"
	case "connect":
		e.Remedy = "check that the store runs there and that no firewall closes the port"
		if d.url.scheme == "embedded" {
			e.Remedy = "check that rank 0 has started on that host (it serves the store) " +
				"and that no firewall closes the port"
		}
	case "auth":
		e.Remedy = "check the user and password in TUTTI_STORE"
		if d.url.embedded() {
			e.Remedy = "give every rank the same TUTTI_SECRET"
		}
	case "tls":
		e.Remedy = "check that the server speaks TLS and that its certificate is for this name and " +
			"signed by an authority that this host trusts (SSL_CERT_FILE)"
	case "ping":
		e.Remedy = "check that a Redis server, and nothing else, listens at that address"
	}
	return e
}

// isRefusal recognises Redis's answers to a missing or wrong password.
func isRefusal(err error) bool {
	text := err.Error()
	for _, code := range []string{"WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "invalid password"} {
		if strings.Contains(text, code) {
			return true
		}
	}
	return false
}

// connect opens one connection of its own timeout.
func connect(ctx context.Context, u storeURL) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return new(net.Dialer).DialContext(ctx, u.network, u.address())
}

// firstConnection is handed to the client once.
type firstConnection struct {
	mu   sync.Mutex
	conn net.Conn
}

func (f *firstConnection) take() net.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	conn := f.conn
	f.conn = nil
	return conn
}

// discard closes a connection that the client has not taken.
func (f *firstConnection) discard() {
	if conn := f.take(); conn != nil {
		conn.Close()
	}
}

// secure adds TLS where the address asks for it; the client leaves that to a custom dialer.
func secure(ctx context.Context, conn net.Conn, u storeURL) (net.Conn, error) {
	config := u.tlsConfig()
	if config == nil {
		return conn, nil
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// clientOptions are the Redis client's settings. The client never retries: a repeated Add or SetNX
// whose first answer was lost would lie, so callers decide.
func clientOptions(u storeURL, dial func(context.Context, string, string) (net.Conn, error),
) *redis.Options {
	return &redis.Options{
		Network: u.network, Addr: u.address(), Dialer: dial, TLSConfig: u.tlsConfig(),
		Protocol: 2, Username: u.user, Password: u.password, DB: u.db,
		MaxRetries: -1, DialerRetries: 1, DialTimeout: connectTimeout,
		ReadTimeout: commandTimeout, WriteTimeout: commandTimeout, ContextTimeoutEnabled: true,
		PoolSize: 4, PipelinePoolSize: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
}

// withDefaultTimeout gives ctx a deadline where it has none.
func withDefaultTimeout(ctx context.Context, d time.Duration,
) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// pauseFor waits between attempts; false means that ctx ended first.
func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// orDiscard makes a nil logger silent.
func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
