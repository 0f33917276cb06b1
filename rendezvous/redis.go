package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-ml/tutti/internal/stack"
)

// redisStore is the one implementation of Store.
type redisStore struct {
	client  *redis.Client
	address string

	closing context.Context // ends when Close is called
	cancel  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
	tasks   chan func() // to a goroutine that has nothing to do
}

// newRedisStore makes a store whose connections come from open.
func newRedisStore(u storeURL, open func(context.Context) (net.Conn, error)) *redisStore {
	s := &redisStore{address: u.address(), tasks: make(chan func())}
	s.closing, s.cancel = context.WithCancel(context.Background())
	s.client = redis.NewClient(clientOptions(u, func(ctx context.Context, _, _ string,
	) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(s.closing, cancel)()
		conn, err := open(ctx)
		if err != nil {
			return failedConn{err}, nil
		}
		return conn, nil
	}))
	return s
}

// failedConn stands for a connection that could not be made. The client writes the error of a
// dialer to the process's standard error, through a logger that only the program may change; the
// error of a connection goes to the caller alone.
type failedConn struct{ err error }

func (c failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c failedConn) Close() error                     { return nil }
func (c failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c failedConn) SetDeadline(time.Time) error      { return nil }
func (c failedConn) SetReadDeadline(time.Time) error  { return nil }
func (c failedConn) SetWriteDeadline(time.Time) error { return nil }

// begin registers a goroutine that Close will wait for.
func (s *redisStore) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// do runs one command. The client honours a context's deadline but not its cancellation, so the
// command runs beside the caller, who may leave; it ends by itself within commandTimeout, or when
// the store is closed. Only f's own variables may be written by f, and they may be read only after
// a nil error or one that came from f.
func (s *redisStore) do(ctx context.Context, command string, f func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return s.failure(command, err)
	}
	if !s.begin() {
		return s.failure(command, ErrClosed)
	}
	result := make(chan error, 1)
	s.run(func() { result <- f(ctx) })
	select {
	case err := <-result:
		if err != nil && s.closing.Err() != nil {
			err = ErrClosed
		}
		if err != nil {
			return s.failure(command, err)
		}
		return nil
	case <-ctx.Done():
		return s.failure(command, context.Cause(ctx))
	}
}

// run calls f in a goroutine that begin has registered. One that is through with an earlier command
// is better than a new one: its stack has grown, and the client's calls are deep.
func (s *redisStore) run(f func()) {
	select {
	case s.tasks <- f:
		s.running.Done() // it is registered already
	default:
		go s.work(f)
	}
}

// work calls f, and then what else there is, until the store is closed.
func (s *redisStore) work(f func()) {
	defer s.running.Done()
	stack.Deepen()
	for {
		f()
		select {
		case f = <-s.tasks:
		case <-s.closing.Done():
			return
		}
	}
}

// ask is do for commands that return a value.
func ask[T any](ctx context.Context, s *redisStore, command string,
	f func(context.Context) (T, error),
) (T, error) {
	value := new(T)
	if err := s.do(ctx, command, func(ctx context.Context) (err error) {
		*value, err = f(ctx)
		return err
	}); err != nil {
		return *new(T), err
	}
	return *value, nil
}

// failure wraps what went wrong with a command.
func (s *redisStore) failure(command string, err error) error {
	if errors.Is(err, redis.Nil) {
		err = ErrNotFound
	}
	e := &StoreError{Address: s.address, Phase: "command", Command: command, Err: err}
	if errors.Is(err, ErrClosed) {
		e.Phase = "closed"
	}
	return e
}

func (s *redisStore) Address() string { return s.address }

// Ping checks that the server answers and accepts the password.
func (s *redisStore) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", func(ctx context.Context) error { return s.client.Ping(ctx).Err() })
}

func (s *redisStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if len(value) > MaxValueBytes {
		return s.failure("set", tooLong(len(value)))
	}
	return s.do(ctx, "set", func(ctx context.Context) error {
		return s.client.Set(ctx, key, value, ttl).Err()
	})
}

func (s *redisStore) Get(ctx context.Context, key string) ([]byte, error) {
	return ask(ctx, s, "get", func(ctx context.Context) ([]byte, error) {
		return s.client.Get(ctx, key).Bytes()
	})
}

func (s *redisStore) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	values := make([][]byte, 0, len(keys))
	for start := 0; start < len(keys); start += manyKeys {
		part := keys[start:min(start+manyKeys, len(keys))]
		answers, err := ask(ctx, s, "get many", func(ctx context.Context) ([]any, error) {
			return s.client.MGet(ctx, part...).Result()
		})
		if err != nil {
			return nil, err
		}
		values = appendFound(values, answers)
	}
	return values, nil
}

// manyKeys is how many keys one command reads: well below the embedded server's limit on arguments.
const manyKeys = 500

// appendFound appends what MGET has answered.
func appendFound(values [][]byte, answers []any) [][]byte {
	for _, answer := range answers {
		text, found := answer.(string)
		if !found {
			values = append(values, nil)
			continue
		}
		values = append(values, []byte(text))
	}
	return values
}

func (s *redisStore) SetNX(ctx context.Context, key string, value []byte, ttl time.Duration,
) (bool, error) {
	if len(value) > MaxValueBytes {
		return false, s.failure("set if missing", tooLong(len(value)))
	}
	return ask(ctx, s, "set if missing", func(ctx context.Context) (bool, error) {
		_, err := s.client.SetArgs(ctx, key, value, redis.SetArgs{Mode: "NX", TTL: ttl}).Result()
		if errors.Is(err, redis.Nil) {
			return false, nil
		}
		return err == nil, err
	})
}

func (s *redisStore) Add(ctx context.Context, key string, delta int64, ttl time.Duration,
) (int64, error) {
	return ask(ctx, s, "add", func(ctx context.Context) (int64, error) {
		if ttl == 0 {
			return s.client.IncrBy(ctx, key, delta).Result()
		}
		var sum *redis.IntCmd
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error { // in one round trip
			sum = p.IncrBy(ctx, key, delta)
			p.PExpire(ctx, key, ttl)
			return nil
		})
		return sum.Val(), err
	})
}

func (s *redisStore) Wait(ctx context.Context, key string) ([]byte, error) {
	const first, longest = time.Millisecond, 50 * time.Millisecond
	for pause := first; ; pause = min(2*pause, longest) {
		value, err := s.Get(ctx, key)
		if !errors.Is(err, ErrNotFound) {
			return value, err
		}
		if !pauseFor(ctx, pause) {
			return nil, s.failure(fmt.Sprintf("wait for %q", key), context.Cause(ctx))
		}
	}
}

func (s *redisStore) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return s.do(ctx, "delete", func(ctx context.Context) error {
		return s.client.Del(ctx, keys...).Err()
	})
}

func (s *redisStore) Expire(ctx context.Context, key string, ttl time.Duration) error {
	return s.do(ctx, "expire", func(ctx context.Context) error {
		return s.client.PExpire(ctx, key, ttl).Err()
	})
}

// Close cancels what runs, closes the connections and waits for the goroutines.
func (s *redisStore) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	err := s.client.Close()
	s.running.Wait()
	if err != nil {
		return s.failure("close", err)
	}
	return nil
}

func tooLong(length int) error {
	return fmt.Errorf("value of %d bytes, the limit is %d", length, MaxValueBytes)
}
