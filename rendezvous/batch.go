package rendezvous

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Batch is commands that a Store carries out in the order in which they were added, in one round
// trip where they are few and short (Store.Do). It is no transaction: what others do may come
// between. Where a command has a result, it is written to the variable that is given. The zero
// Batch is empty; it is used once, by one goroutine.
type Batch struct{ steps []step }

// step is one command of a batch.
type step struct {
	command string
	value   int // bytes that it writes
	request int // bytes of all, at most
	// queue puts the command into a pipeline; what it returns reads the answer.
	queue func(context.Context, redis.Pipeliner) (answer func() error)
	// alone carries it out by itself.
	alone func(context.Context, Store) error
}

// SetNX adds Store.SetNX.
func (b *Batch) SetNX(key string, value []byte, ttl time.Duration, won *bool) {
	b.steps = append(b.steps, step{
		command: "set if missing", value: len(value), request: requestBytes(key) + len(value),
		queue: func(ctx context.Context, p redis.Pipeliner) func() error {
			answer := p.SetArgs(ctx, key, value, redis.SetArgs{Mode: "NX", TTL: ttl})
			return func() error {
				err := answer.Err()
				if *won = err == nil; errors.Is(err, redis.Nil) {
					return nil
				}
				return err
			}
		},
		alone: func(ctx context.Context, s Store) (err error) {
			*won, err = s.SetNX(ctx, key, value, ttl)
			return err
		},
	})
}

// Add adds Store.Add.
func (b *Batch) Add(key string, delta int64, ttl time.Duration, sum *int64) {
	b.steps = append(b.steps, step{
		command: "add", request: 2 * requestBytes(key),
		queue: func(ctx context.Context, p redis.Pipeliner) func() error {
			answer := p.IncrBy(ctx, key, delta)
			var life *redis.BoolCmd
			if ttl != 0 {
				life = p.PExpire(ctx, key, ttl)
			}
			return func() (err error) {
				if *sum, err = answer.Result(); err == nil && life != nil {
					err = life.Err()
				}
				return err
			}
		},
		alone: func(ctx context.Context, s Store) (err error) {
			*sum, err = s.Add(ctx, key, delta, ttl)
			return err
		},
	})
}

// GetMany adds Store.GetMany; no keys are nothing to do.
func (b *Batch) GetMany(keys []string, values *[][]byte) {
	*values = make([][]byte, 0, len(keys))
	for start := 0; start < len(keys); start += manyKeys {
		part := keys[start:min(start+manyKeys, len(keys))]
		b.steps = append(b.steps, step{
			command: "get many", request: requestBytes(part...),
			queue: func(ctx context.Context, p redis.Pipeliner) func() error {
				answer := p.MGet(ctx, part...)
				return func() error {
					found, err := answer.Result()
					*values = appendFound(*values, found)
					return err
				}
			},
			alone: func(ctx context.Context, s Store) error {
				found, err := s.GetMany(ctx, part)
				*values = append(*values, found...)
				return err
			},
		})
	}
}

// HSet adds Store.HSet.
func (b *Batch) HSet(key, field string, value []byte) {
	b.steps = append(b.steps, step{
		command: "set field", value: len(value), request: requestBytes(key, field) + len(value),
		queue: func(ctx context.Context, p redis.Pipeliner) func() error {
			return p.HSet(ctx, key, field, value).Err
		},
		alone: func(ctx context.Context, s Store) error { return s.HSet(ctx, key, field, value) },
	})
}

// HGet adds Store.HGet, but for a missing field value becomes nil.
func (b *Batch) HGet(key, field string, value *[]byte) {
	b.steps = append(b.steps, step{
		command: "get field", request: requestBytes(key, field),
		queue: func(ctx context.Context, p redis.Pipeliner) func() error {
			answer := p.HGet(ctx, key, field)
			return func() (err error) {
				if *value, err = answer.Bytes(); errors.Is(err, redis.Nil) {
					*value, err = nil, nil
				}
				return err
			}
		},
		alone: func(ctx context.Context, s Store) (err error) {
			if *value, err = s.HGet(ctx, key, field); errors.Is(err, ErrNotFound) {
				*value, err = nil, nil
			}
			return err
		},
	})
}

// HGetAll adds Store.HGetAll.
func (b *Batch) HGetAll(key string, fields *map[string][]byte) {
	b.steps = append(b.steps, step{
		command: "get fields", request: requestBytes(key),
		queue: func(ctx context.Context, p redis.Pipeliner) func() error {
			answer := p.HGetAll(ctx, key)
			return func() error {
				found, err := answer.Result()
				*fields = asBytes(found)
				return err
			}
		},
		alone: func(ctx context.Context, s Store) (err error) {
			*fields, err = s.HGetAll(ctx, key)
			return err
		},
	})
}

// Notify adds Store.Notify.
func (b *Batch) Notify(channel, about string) {
	b.steps = append(b.steps, step{
		command: "notify", request: requestBytes(channel, about),
		queue: func(ctx context.Context, p redis.Pipeliner) func() error {
			return p.Publish(ctx, channel, about).Err
		},
		alone: func(ctx context.Context, s Store) error { return s.Notify(ctx, channel, about) },
	})
}

// OneByOne carries the batch out by the other calls of s. It is the Do of a Store of one's own that
// knows no better.
func (b *Batch) OneByOne(ctx context.Context, s Store) error {
	for _, step := range b.steps {
		if err := step.alone(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// maxPipeline bounds the bytes of commands that go out before an answer is read. A server that
// answers each at once, like the embedded one, must not be kept from it by one who is writing
// still: so much it takes at one go, even from a connection without a buffer.
const maxPipeline = 4 << 10

// requestBytes is the most that a command with these arguments takes: others, and the length before
// each, are short.
func requestBytes(arguments ...string) int {
	n := 128
	for _, a := range arguments {
		n += len(a) + 16
	}
	return n
}

func (s *redisStore) Do(ctx context.Context, b *Batch) error {
	for _, step := range b.steps {
		if step.value > MaxValueBytes {
			return s.failure(step.command, tooLong(step.value))
		}
	}
	for steps := b.steps; len(steps) > 0; {
		n, request := 1, steps[0].request
		for n < len(steps) && request+steps[n].request <= maxPipeline {
			request += steps[n].request
			n++
		}
		if err := s.pipeline(ctx, steps[:n]); err != nil {
			return err
		}
		steps = steps[n:]
	}
	return nil
}

// pipeline carries out steps in one round trip.
func (s *redisStore) pipeline(ctx context.Context, steps []step) error {
	answers := make([]func() error, len(steps))
	var whole error
	err := s.do(ctx, steps[0].command, func(ctx context.Context) error {
		pipe := s.client.Pipeline()
		for i, step := range steps {
			answers[i] = step.queue(ctx, pipe)
		}
		if _, whole = pipe.Exec(ctx); s.closing.Err() != nil {
			return whole
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, answer := range answers {
		if err := answer(); err != nil {
			return s.failure(steps[i].command, err)
		}
	}
	if failed := redis.Error(nil); whole != nil && !errors.As(whole, &failed) {
		return s.failure(steps[0].command, whole)
	}
	return nil
}
