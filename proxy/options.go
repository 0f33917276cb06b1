package proxy

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/drivers"
)

// The defaults and bounds.
const (
	// DefaultLease is how long a component that has stopped counts as there.
	DefaultLease = 3 * time.Second
	// DefaultWindow bounds the bytes of requests that a peer has sent and this application not yet
	// received, for each peer.
	DefaultWindow = 64 << 20
	// DefaultMaxMessage bounds the body of one message, in bytes.
	DefaultMaxMessage = 1 << 30
	// DefaultRejoinTimeout is how long a peer that is away is waited for.
	DefaultRejoinTimeout = 5 * time.Minute
	// DefaultCacheMessages and DefaultCacheBytes bound what is kept for each peer that is away.
	DefaultCacheMessages = 1024
	DefaultCacheBytes    = 64 << 20

	// maxUnsettledMessages and maxUnsettledBytes bound what waits for each peer that is there.
	maxUnsettledMessages = 1 << 16
	maxUnsettledBytes    = 1 << 30
)

// CachePolicy tells what happens to a message for a peer that is away when no more can be kept.
type CachePolicy uint8

const (
	// CacheBlock makes the sender wait, as long as its context allows.
	CacheBlock CachePolicy = iota
	// CacheDropOldest gives up the oldest message: whoever waits for its session gets a
	// *BackpressureError.
	CacheDropOldest
	// CacheFail refuses the new message with a *BackpressureError.
	CacheFail
)

func (p CachePolicy) String() string {
	switch p {
	case CacheBlock:
		return "block"
	case CacheDropOldest:
		return "drop-oldest"
	case CacheFail:
		return "fail"
	}
	return fmt.Sprintf("cache policy(%d)", uint8(p))
}

// Rejoin tells how to go on when peers leave, or die, and come back.
type Rejoin struct {
	// Minimal is how many peers of a type have to be there for a Send, Scatter or Broadcast to
	// begin; it waits for them. Types that are not in it need none.
	Minimal map[string]int
	// Timeout bounds how long a peer that is away, and the minimal number, are waited for; 0 means
	// DefaultRejoinTimeout.
	Timeout time.Duration
	// Max is how many times one name may come back; 0: as often as it likes.
	Max int
	// CacheMessages and CacheBytes bound what is kept for each peer that is away; 0 means
	// DefaultCacheMessages and DefaultCacheBytes.
	CacheMessages int
	CacheBytes    int64
	Policy        CachePolicy
}

// Option changes what Join would do by itself.
type Option func(*config) error

type config struct {
	group, kind string
	expect      map[string]int
	name        string
	store       string
	secret      string
	secretSet   bool
	driver      transport.Driver
	listen      string
	filter      string
	lease       time.Duration
	rejoin      *Rejoin
	window      int64
	maxMessage  int64
	compression Compression
	logger      *slog.Logger
	hostID      string // instead of this host's, in tests
}

// WithName sets the component's name, which no other component of its group has. Without it the
// name is the type and a random number.
func WithName(name string) Option {
	return func(c *config) error {
		c.name = name
		return checkName("component", name)
	}
}

// WithStore says where the components meet: redis://host:port/db, rediss:// (TLS),
// redis+unix:///path, tutti://host:port (an embedded store that somebody serves) or
// embedded://host:port (the component that can listen there serves it). Without it the variable
// TUTTI_STORE says.
func WithStore(url string) Option {
	return func(c *config) error {
		c.store = url
		return nil
	}
}

// WithSecret sets what all components of the group must know. Without it the variable TUTTI_SECRET,
// or the file that TUTTI_SECRET_FILE names, has it; with neither, the driver reaches this host
// alone.
func WithSecret(secret string) Option {
	return func(c *config) error {
		c.secret, c.secretSet = secret, true
		return nil
	}
}

// WithDriver moves messages by a driver of the caller's. All components use the same.
func WithDriver(d transport.Driver) Option {
	return func(c *config) error {
		c.driver = d
		return nil
	}
}

// WithDriverName chooses a built-in driver by name, see package transport/drivers. Without it the
// variable TUTTI_DRIVER does, and without that it is "auto": shared memory inside a host, ZeroMQ
// between hosts. All components use the same.
func WithDriverName(name string) Option {
	return func(c *config) (err error) {
		c.driver, err = drivers.Lookup(name)
		return err
	}
}

// WithListen sets the address and port to listen on; without it the driver chooses.
func WithListen(address string) Option {
	return func(c *config) error {
		c.listen = address
		return nil
	}
}

// WithLease sets how long a component that has stopped without a word counts as there.
func WithLease(d time.Duration) Option {
	return func(c *config) error {
		if d < 10*time.Millisecond {
			return &ArgumentError{"WithLease", d.String(), "a lease lasts at least 10ms"}
		}
		c.lease = d
		return nil
	}
}

// WithRejoin lets peers leave and come back. Without it, what is under way with a peer that is lost
// fails at once.
func WithRejoin(r Rejoin) Option {
	return func(c *config) error {
		r := r // an option may be used by several Joins at once
		r.Minimal = maps.Clone(r.Minimal)
		if r.Timeout == 0 {
			r.Timeout = DefaultRejoinTimeout
		}
		if r.CacheMessages == 0 {
			r.CacheMessages = DefaultCacheMessages
		}
		if r.CacheBytes == 0 {
			r.CacheBytes = DefaultCacheBytes
		}
		if r.Timeout < 0 || r.Max < 0 || r.CacheMessages < 0 || r.CacheBytes < 0 ||
			r.Policy > CacheFail {
			return &ArgumentError{"WithRejoin", fmt.Sprintf("%+v", r), "negative, or no such policy"}
		}
		c.rejoin = &r
		return nil
	}
}

// WithWindow bounds the bytes that each peer may have sent without this application having received
// them. One message may be larger.
func WithWindow(bytes int64) Option {
	return func(c *config) error {
		if bytes < 1 {
			return &ArgumentError{"WithWindow", fmt.Sprint(bytes), "want at least 1"}
		}
		c.window = bytes
		return nil
	}
}

// WithMaxMessage bounds the body of one message, in bytes, both ways. A body that is larger than
// its receiver takes is an error of the sender's call, or comes in the place of the reply.
func WithMaxMessage(bytes int64) Option {
	return func(c *config) error {
		if bytes < 1 || bytes > 1<<40 {
			return &ArgumentError{"WithMaxMessage", fmt.Sprint(bytes), "want 1 to 2^40"}
		}
		c.maxMessage = bytes
		return nil
	}
}

// WithCompression chooses how bodies are compressed. The default is CompressAuto.
func WithCompression(m Compression) Option {
	return func(c *config) error {
		c.compression = m
		return nil
	}
}

// WithLogger says what happens to membership and connections to l; without it nobody is told.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) error {
		c.logger = l
		return nil
	}
}

// newConfig applies the options, and takes the rest from the environment.
func newConfig(group, kind string, expect map[string]int, options []Option) (*config, error) {
	c := &config{
		group: group, kind: kind, expect: map[string]int{}, lease: DefaultLease,
		window: DefaultWindow, maxMessage: DefaultMaxMessage,
	}
	if err := checkName("group", group); err != nil {
		return nil, err
	}
	if err := checkName("type", kind); err != nil {
		return nil, err
	}
	for t, n := range expect {
		if err := checkName("type", t); err != nil {
			return nil, err
		}
		if n < 0 {
			return nil, &ArgumentError{"Join", fmt.Sprintf("expected peers %s: %d", t, n), "negative"}
		}
		c.expect[t] = n
	}
	for _, o := range options {
		if err := o(c); err != nil {
			return nil, err
		}
	}
	return c, c.complete()
}

// complete fills in what no option has set.
func (c *config) complete() error {
	if c.store == "" {
		c.store = os.Getenv("TUTTI_STORE")
	}
	if c.store == "" {
		return &ArgumentError{
			"Join", "store", "nobody says where the components meet: use WithStore, or set TUTTI_STORE",
		}
	}
	if !c.secretSet {
		env, err := rendezvous.FromEnvironment(nil)
		if err != nil {
			return err
		}
		c.secret, c.filter = env.Secret, env.Interface
	}
	if c.name == "" {
		c.name = c.kind + "_" + strings.ReplaceAll(newID().String(), "-", "")[:12]
	}
	if c.driver == nil {
		name := os.Getenv("TUTTI_DRIVER")
		if name == "" {
			name = drivers.Default
		}
		var err error
		if c.driver, err = drivers.Lookup(name); err != nil {
			return err
		}
	}
	if c.rejoin != nil {
		for t := range c.rejoin.Minimal {
			if _, ok := c.expect[t]; !ok {
				return &ArgumentError{"WithRejoin", "minimal peers of type " + t, "it is not expected"}
			}
		}
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
