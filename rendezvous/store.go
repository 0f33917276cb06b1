package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxValueBytes is the longest value a Store takes and the embedded server accepts.
const MaxValueBytes = 64 << 20

// ErrNotFound is what Get returns, wrapped, when there is no such key.
var ErrNotFound = errors.New("key not found")

// ErrClosed is what every call on a Store returns, wrapped, after Close.
var ErrClosed = errors.New("store is closed")

// Store is the small key-value store that ranks meet through. Every implementation in this package
// is the same Redis client, so that the embedded server and a real Redis behave alike.
//
// A Store may be used by several goroutines at once. Calls block until the server has answered, the
// context ends or the store is closed; values returned belong to the caller. Failures are
// *StoreError. A ttl of 0 means that the key stays; other ttls count in milliseconds.
type Store interface {
	// Set writes key.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Get reads key; the error wraps ErrNotFound when there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// GetMany reads keys in order; missing ones are nil.
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
	// SetNX writes key only where there is none and says whether it did.
	SetNX(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
	// Add adds delta to the decimal number at key, 0 when missing, and returns the sum. With a ttl of 0
	// the key goes on to live for as long as it would have.
	Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
	// Wait blocks until key exists and returns its value. It polls, at most every 50 ms.
	Wait(ctx context.Context, key string) ([]byte, error)
	// Delete removes keys; missing ones are no error.
	Delete(ctx context.Context, keys ...string) error
	// Expire gives an existing key a new time to live.
	Expire(ctx context.Context, key string, ttl time.Duration) error
	// HSet writes one field of the hash at key.
	HSet(ctx context.Context, key, field string, value []byte) error
	// HSetNX writes a field only where there is none and says whether it did.
	HSetNX(ctx context.Context, key, field string, value []byte) (bool, error)
	// HGet reads one field; the error wraps ErrNotFound when there is none.
	HGet(ctx context.Context, key, field string) ([]byte, error)
	// HGetAll reads a hash; a missing one is empty.
	HGetAll(ctx context.Context, key string) (map[string][]byte, error)
	// HLen counts the fields of a hash.
	HLen(ctx context.Context, key string) (int, error)
	// HDelete removes fields of a hash.
	HDelete(ctx context.Context, key string, fields ...string) error
	// Notify wakes the watchers of channel whom it concerns. It is a hint: what happened stands in the
	// keys; about, at most 1 KiB, tells watchers whether to look.
	Notify(ctx context.Context, channel, about string) error
	// Watch subscribes to channel; when it returns, no later Notify is missed for as long as the
	// connection lives. Where concerns is not nil, only a Notify gives a hint of which it says so: it is
	// called from one goroutine, must not block, and is told what anybody may have sent. The caller must
	// stop the Watcher.
	Watch(ctx context.Context, channel string, concerns func(about string) bool) (*Watcher, error)
	// Do carries out a batch in its order. When it fails, some of the commands may have been carried
	// out, and their results mean nothing.
	Do(ctx context.Context, b *Batch) error
	// Address names the server for messages, without any password.
	Address() string
	// Close ends running calls and watchers and releases the connections. Closing twice is allowed.
	Close() error
}

// Watcher delivers hints that something happened on a channel. Hints that nobody has taken yet are
// merged into one, and a lost connection gives a hint too, so a reader looks at the keys after each.
type Watcher struct {
	// C receives the hints. It is never closed.
	C <-chan struct{}

	stop func()
}

// NewWatcher makes the Watcher of a Store of one's own: hints arrive on c, and stop, which is called
// once, ends their source and waits for its goroutine.
func NewWatcher(c <-chan struct{}, stop func()) *Watcher {
	return &Watcher{C: c, stop: sync.OnceFunc(stop)}
}

// Stop ends the watcher and waits for its goroutine. It may be called twice.
func (w *Watcher) Stop() { w.stop() }

// StoreError reports a store that could not be reached or a command that failed.
type StoreError struct {
	Address  string // host:port or path
	Phase    string // "address", "lookup", "connect", "tls", "auth", "ping", "listen", "command", "closed"
	Command  string // the store operation, in phase "command"
	Attempts int    // how often Dial tried; 0 elsewhere
	Waited   time.Duration
	Err      error  // the cause
	Remedy   string // what to do
}

// Error names address, phase, attempts, cause and remedy.
func (e *StoreError) Error() string {
	what := e.Phase
	if e.Command != "" {
		what += " " + e.Command
	}
	text := fmt.Sprintf("rendezvous: store %s: %s failed", e.Address, what)
	if e.Attempts > 0 {
		text += fmt.Sprintf(" (attempts: %d, waited %s)", e.Attempts, readable(e.Waited))
	}
	text += ": " + e.Err.Error()
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap returns the cause.
func (e *StoreError) Unwrap() error { return e.Err }

// Refused says whether the server answered that it will not do this, now or later: the password, the
// permissions of the user, or a key that holds something of another type. Failures of the network,
// and of a server that is busy or starting, are worth trying again.
func (e *StoreError) Refused() bool {
	var answer redis.Error
	if !errors.As(e.Err, &answer) {
		return false
	}
	text := answer.Error()
	return isRefusal(answer) || strings.HasPrefix(text, "WRONGTYPE") ||
		strings.Contains(text, "not an integer")
}

// readable rounds a duration to what a person wants to read.
func readable(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	default:
		return d.Round(time.Millisecond)
	}
}
