package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/rendezvous"
)

// world is a store in memory whose keys expire by the clock of the test, and whose clients can be
// cut off one by one.
type world struct {
	mu      sync.Mutex
	values  map[string]fakeValue
	hashes  map[string]map[string][]byte
	clients []*fakeStore
	// before, when set, is called without a lock ahead of each command of a client.
	before func(client *fakeStore, command, key string)
}

type fakeValue struct {
	bytes []byte
	ends  time.Time // zero: never
}

// fakeStore is one client's rendezvous.Store.
type fakeStore struct {
	*world
	down     bool
	closed   bool
	commands int
	trips    int // a batch is one
	watchers []fakeWatcher
}

type fakeWatcher struct {
	channel  string
	concerns func(about string) bool
	hints    chan struct{}
}

func newWorld() *world {
	return &world{values: map[string]fakeValue{}, hashes: map[string]map[string][]byte{}}
}

func (w *world) client() *fakeStore {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &fakeStore{world: w}
	w.clients = append(w.clients, s)
	return s
}

// hook sets before.
func (w *world) hook(before func(client *fakeStore, command, key string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = before
}

// hash returns what a hash holds.
func (w *world) hash(key string) map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	fields := map[string]string{}
	for field, value := range w.hashes[key] {
		fields[field] = string(value)
	}
	return fields
}

// flush empties the store, as FLUSHALL does.
func (w *world) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.values)
	clear(w.hashes)
}

// cut takes the store away from a client, or gives it back. Like a real one, a watcher whose
// connection is lost gets a hint, and no more.
func (s *fakeStore) cut(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down = down; !down {
		return
	}
	for _, watcher := range s.watchers {
		poke(watcher.hints)
	}
	s.watchers = nil
}

var errDown = errors.New("connection refused")

func (s *fakeStore) do(ctx context.Context, command, key string, f func() error) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(s, command, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands++
	if ctx.Value(inBatch{}) == nil {
		s.trips++
	}
	err := ctx.Err()
	switch {
	case err != nil:
	case s.closed:
		err = rendezvous.ErrClosed
	case s.down:
		err = errDown
	default:
		err = f()
	}
	if err != nil {
		return &rendezvous.StoreError{
			Address: "fake", Phase: "command", Command: command, Err: err,
		}
	}
	return nil
}

// get reads a value that has not expired; the lock is held.
func (w *world) get(key string) ([]byte, bool) {
	value, found := w.values[key]
	if found && !value.ends.IsZero() && !time.Now().Before(value.ends) {
		delete(w.values, key)
		return nil, false
	}
	return value.bytes, found
}

func (w *world) set(key string, value []byte, ttl time.Duration) {
	stored := fakeValue{bytes: slices.Clone(value)}
	if ttl > 0 {
		stored.ends = time.Now().Add(ttl)
	}
	w.values[key] = stored
}

func (s *fakeStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.do(ctx, "set", key, func() error { s.set(key, value, ttl); return nil })
}

func (s *fakeStore) Get(ctx context.Context, key string) (value []byte, err error) {
	err = s.do(ctx, "get", key, func() error {
		found := false
		if value, found = s.get(key); !found {
			return rendezvous.ErrNotFound
		}
		return nil
	})
	return slices.Clone(value), err
}

func (s *fakeStore) GetMany(ctx context.Context, keys []string) (values [][]byte, err error) {
	err = s.do(ctx, "get many", strings.Join(keys, " "), func() error {
		for _, key := range keys {
			value, _ := s.get(key)
			values = append(values, slices.Clone(value))
		}
		return nil
	})
	return values, err
}

func (s *fakeStore) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration,
) (won bool, err error) {
	err = s.do(ctx, "set if missing", key, func() error {
		if _, found := s.get(key); !found {
			won = true
			s.set(key, value, ttl)
		}
		return nil
	})
	return won, err
}

func (s *fakeStore) Add(ctx context.Context, key string, delta int64, ttl time.Duration,
) (sum int64, err error) {
	err = s.do(ctx, "add", key, func() error {
		value, found := s.get(key)
		if found {
			if _, err := fmt.Sscan(string(value), &sum); err != nil {
				return err
			}
		}
		sum += delta
		s.set(key, fmt.Append(nil, sum), ttl)
		return nil
	})
	return sum, err
}

func (s *fakeStore) Delete(ctx context.Context, keys ...string) error {
	return s.do(ctx, "delete", strings.Join(keys, " "), func() error {
		for _, key := range keys {
			delete(s.values, key)
		}
		return nil
	})
}

func (s *fakeStore) Expire(ctx context.Context, key string, ttl time.Duration) error {
	return s.do(ctx, "expire", key, func() error {
		if value, found := s.get(key); found {
			s.set(key, value, ttl)
		}
		return nil
	})
}

func (s *fakeStore) HSet(ctx context.Context, key, field string, value []byte) error {
	return s.do(ctx, "set field", key, func() error {
		if s.hashes[key] == nil {
			s.hashes[key] = map[string][]byte{}
		}
		s.hashes[key][field] = slices.Clone(value)
		return nil
	})
}

func (s *fakeStore) HGet(ctx context.Context, key, field string) (value []byte, err error) {
	err = s.do(ctx, "get field", key, func() error {
		found := false
		if value, found = s.hashes[key][field]; !found {
			return rendezvous.ErrNotFound
		}
		return nil
	})
	return slices.Clone(value), err
}

func (s *fakeStore) HGetAll(ctx context.Context, key string) (all map[string][]byte, err error) {
	err = s.do(ctx, "get fields", key, func() error {
		all = maps.Clone(s.hashes[key])
		return nil
	})
	return all, err
}

func (s *fakeStore) HDelete(ctx context.Context, key string, fields ...string) error {
	return s.do(ctx, "delete fields", key, func() error {
		for _, field := range fields {
			delete(s.hashes[key], field)
		}
		return nil
	})
}

func (s *fakeStore) Notify(ctx context.Context, channel, about string) error {
	return s.do(ctx, "notify", channel, func() error {
		for _, client := range s.clients {
			for _, watcher := range client.watchers {
				if watcher.channel == channel && (watcher.concerns == nil || watcher.concerns(about)) {
					poke(watcher.hints)
				}
			}
		}
		return nil
	})
}

func (s *fakeStore) Watch(ctx context.Context, channel string, concerns func(string) bool,
) (*rendezvous.Watcher, error) {
	hints := make(chan struct{}, 1)
	err := s.do(ctx, "watch", channel, func() error {
		s.watchers = append(s.watchers, fakeWatcher{channel, concerns, hints})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rendezvous.NewWatcher(hints, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(w fakeWatcher) bool { return w.hints == hints })
	}), nil
}

// Do is one trip, in which each command comes by itself, and others' may come between.
func (s *fakeStore) Do(ctx context.Context, b *rendezvous.Batch) error {
	s.mu.Lock()
	s.trips++
	s.mu.Unlock()
	return b.OneByOne(context.WithValue(ctx, inBatch{}, true), s)
}

// inBatch marks the context of a batch's commands.
type inBatch struct{}

func (s *fakeStore) Address() string { return "fake" }

func (s *fakeStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// The roster has no use for these.

var errUnused = errors.New("the fake store lacks this command")

func (s *fakeStore) Wait(context.Context, string) ([]byte, error) { return nil, errUnused }

func (s *fakeStore) HSetNX(context.Context, string, string, []byte) (bool, error) {
	return false, errUnused
}

func (s *fakeStore) HLen(context.Context, string) (int, error) { return 0, errUnused }

// TestFakeStoreExpires checks the fake's clock, on which the other tests build.
func TestFakeStoreExpires(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newWorld().client()
		mustDo(t, store.Set(t.Context(), "key", []byte("value"), time.Second))
		time.Sleep(time.Second - 1)
		mustDo(t, store.Expire(t.Context(), "key", time.Second))
		time.Sleep(time.Second - 1)
		if _, err := store.Get(t.Context(), "key"); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := store.Get(t.Context(), "key"); !errors.Is(err, rendezvous.ErrNotFound) {
			t.Errorf("after its time: %v", err)
		}
	})
}
