package rendezvous

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tutti-ml/tutti/internal/stack"
)

func (s *redisStore) HSet(ctx context.Context, key, field string, value []byte) error {
	if len(value) > MaxValueBytes {
		return s.failure("set field", tooLong(len(value)))
	}
	return s.do(ctx, "set field", func(ctx context.Context) error {
		return s.client.HSet(ctx, key, field, value).Err()
	})
}

func (s *redisStore) HSetNX(ctx context.Context, key, field string, value []byte) (bool, error) {
	if len(value) > MaxValueBytes {
		return false, s.failure("set field if missing", tooLong(len(value)))
	}
	return ask(ctx, s, "set field if missing", func(ctx context.Context) (bool, error) {
		return s.client.HSetNX(ctx, key, field, value).Result()
	})
}

func (s *redisStore) HGet(ctx context.Context, key, field string) ([]byte, error) {
	return ask(ctx, s, "get field", func(ctx context.Context) ([]byte, error) {
		return s.client.HGet(ctx, key, field).Bytes()
	})
}

func (s *redisStore) HGetAll(ctx context.Context, key string) (map[string][]byte, error) {
	answer, err := ask(ctx, s, "get fields", func(ctx context.Context) (map[string]string, error) {
		return s.client.HGetAll(ctx, key).Result()
	})
	if err != nil {
		return nil, err
	}
	return asBytes(answer), nil
}

func asBytes(answer map[string]string) map[string][]byte {
	fields := make(map[string][]byte, len(answer))
	for field, value := range answer {
		fields[field] = []byte(value)
	}
	return fields
}

func (s *redisStore) HLen(ctx context.Context, key string) (int, error) {
	n, err := ask(ctx, s, "count fields", func(ctx context.Context) (int64, error) {
		return s.client.HLen(ctx, key).Result()
	})
	return int(n), err
}

func (s *redisStore) HDelete(ctx context.Context, key string, fields ...string) error {
	if len(fields) == 0 {
		return nil
	}
	return s.do(ctx, "delete fields", func(ctx context.Context) error {
		return s.client.HDel(ctx, key, fields...).Err()
	})
}

func (s *redisStore) Notify(ctx context.Context, channel, about string) error {
	return s.do(ctx, "notify", func(ctx context.Context) error {
		return s.client.Publish(ctx, channel, about).Err()
	})
}

func (s *redisStore) Watch(ctx context.Context, channel string, concerns func(about string) bool,
) (*Watcher, error) {
	subscription := s.client.Subscribe(s.closing) // without a channel it does not connect yet
	if err := s.do(ctx, "watch", func(ctx context.Context) error {
		if err := subscription.Subscribe(ctx, channel); err != nil {
			return err
		}
		// The confirmation tells that from here on nothing is missed.
		_, err := subscription.Receive(ctx)
		return err
	}); err != nil {
		subscription.Close()
		return nil, err
	}
	if !s.begin() {
		subscription.Close()
		return nil, s.failure("watch", ErrClosed)
	}
	live, cancel := context.WithCancel(s.closing)
	hints, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer s.running.Done()
		defer close(done)
		forward(live, subscription, concerns, hints)
	}()
	// Closing the subscription is what ends a blocked Receive.
	unhook := context.AfterFunc(live, func() { subscription.Close() })
	return NewWatcher(hints, func() {
		unhook()
		cancel()
		subscription.Close()
		<-done
	}), nil
}

// forward turns messages into hints until live ends. The client reconnects by itself at the next
// Receive; a hint tells the reader to look, since messages may have been lost meanwhile.
func forward(live context.Context, subscription *redis.PubSub, concerns func(string) bool,
	hints chan<- struct{},
) {
	stack.Deepen()
	pause := firstPause
	for live.Err() == nil {
		what, err := subscription.Receive(live)
		if live.Err() != nil {
			return
		}
		if m, told := what.(*redis.Message); told && concerns != nil && !concerns(m.Payload) {
			pause = firstPause
			continue
		}
		select {
		case hints <- struct{}{}:
		default:
		}
		if err == nil {
			pause = firstPause
			continue
		}
		if !pauseFor(live, pause) {
			return
		}
		pause = min(2*pause, time.Second)
	}
}
