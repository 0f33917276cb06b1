package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// warmUp is how many round trips go before those that are timed.
const warmUp = 10

// do measures an experiment.
func (x experiment) do(ctx context.Context, c caller) (measured, error) {
	body := make([]byte, x.Bytes)
	for i := range body {
		body[i] = byte(i*7 + i>>8)
	}
	if x.Pattern == "flight" || x.Pattern == "isend" {
		return x.many(ctx, c, body)
	}
	if x.Pattern == "send" {
		if err := check(ctx, c, x.Echo, body); err != nil {
			return measured{}, err
		}
	}
	n, started := 0, time.Now()
	for trips := 1; ; trips++ {
		if err := x.once(ctx, c, body); err != nil {
			return measured{}, err
		}
		if trips <= warmUp {
			started = time.Now()
			continue
		}
		n++
		if d := time.Since(started); d >= x.Time {
			return measured{Rate: float64(n) / d.Seconds(), Trips: trips}, nil
		}
	}
}

// check looks at the bytes of a reply, once; of the others, sizes are looked at.
func check(ctx context.Context, c caller, echo bool, body []byte) error {
	return c.send(ctx, echo, body, func(got []byte) error {
		if echo && !bytes.Equal(got, body) {
			return errors.New("the reply has other bytes than the message")
		}
		return nil
	})
}

func checkSize(got []byte, echo bool, body []byte) error {
	want := 0
	if echo {
		want = len(body)
	}
	if len(got) != want {
		return fmt.Errorf("a reply of %d bytes, want %d", len(got), want)
	}
	return nil
}

func (x experiment) once(ctx context.Context, c caller, body []byte) error {
	switch x.Pattern {
	case "send":
		return c.send(ctx, x.Echo, body, nil)
	case "scatter":
		return c.scatter(ctx, x.Echo, body)
	case "broadcast":
		return c.broadcast(ctx, x.Echo, body)
	}
	return fmt.Errorf("no pattern %q", x.Pattern)
}

// many measures with inFlight round trips under way. The time is that of all, from the first
// message to the last reply.
func (x experiment) many(ctx context.Context, c caller, body []byte) (measured, error) {
	run := func(d time.Duration) (int, float64, error) {
		started := time.Now()
		more := func() bool { return time.Since(started) < d }
		n, err := x.stream(ctx, c, body, more)
		return n, float64(n) / time.Since(started).Seconds(), err
	}
	first, _, err := run(x.Time / 10)
	if err != nil {
		return measured{}, err
	}
	n, rate, err := run(x.Time)
	return measured{Rate: rate, Trips: first + n}, err
}

func (x experiment) stream(ctx context.Context, c caller, body []byte, more func() bool,
) (int, error) {
	if x.Pattern == "isend" {
		return c.stream(ctx, inFlight, x.Echo, body, more)
	}
	return goroutines(ctx, c, inFlight, x.Echo, body, more)
}

// goroutines keeps round trips under way by a goroutine for each.
func goroutines(ctx context.Context, c caller, flight int, echo bool, body []byte, more func() bool,
) (int, error) {
	var n atomic.Int64
	var once sync.Once
	var failure error
	var group sync.WaitGroup
	for range flight {
		group.Go(func() {
			for more() {
				if err := c.send(ctx, echo, body, nil); err != nil {
					once.Do(func() { failure = err })
					return
				}
				n.Add(1)
			}
		})
	}
	group.Wait()
	return int(n.Load()), failure
}
