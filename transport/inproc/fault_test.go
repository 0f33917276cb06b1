package inproc

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/transporttest"
)

// The contract holds on a network with delays, jitter, limits and slow receivers as well.
func TestConformanceUnderConditions(t *testing.T) {
	open := func(t *testing.T, ranks int) []transport.Endpoint {
		n := NewNetwork(Options{Seed: 1})
		for i := range ranks {
			for j := range ranks {
				n.SetLink(i, j, LinkConditions{
					Delay: 5 * time.Microsecond, Jitter: 30 * time.Microsecond, Bandwidth: 20 << 30,
				})
			}
			n.SlowReceiver(i, time.Duration(i/2)*time.Microsecond)
		}
		return openOn(t, n, ranks)
	}
	transporttest.Run(t, open, transporttest.Options{Allocs: -1}) // the clock allocates
}

// However links are slowed down, silenced and healed, all that was sent comes, once and in order.
func TestFaultsLoseNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		changes := rapid.IntRange(0, 40).Draw(rt, "changes")
		frames := rapid.IntRange(1, 150).Draw(rt, "frames")
		synctest.Test(t, func(t *testing.T) { weather(t, seed, changes, frames) })
		if t.Failed() {
			rt.FailNow()
		}
	})
}

func weather(t *testing.T, seed uint64, changes, frames int) {
	n := NewNetwork(Options{Seed: seed})
	l := openLine(t, n, 2)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g := rand.New(rand.NewPCG(seed, 1))
		for range changes {
			time.Sleep(time.Duration(g.IntN(1000)) * time.Millisecond)
			switch g.IntN(5) {
			case 0:
				n.Silence(0, 1)
			case 1:
				n.Heal(0, 1)
			case 2:
				n.SlowReceiver(1, time.Duration(g.IntN(3))*100*time.Millisecond)
			default:
				n.SetLink(0, 1, LinkConditions{
					Delay:  time.Duration(g.IntN(500)) * time.Millisecond,
					Jitter: time.Duration(g.IntN(500)) * time.Millisecond, Bandwidth: int64(g.IntN(2) * 100_000),
				})
			}
		}
		n.HealAll()
		n.SlowReceiver(1, 0)
	}()
	go func() {
		memory := bytes.Repeat([]byte{1}, 20_000)
		for i := range uint64(frames) {
			for {
				ok, err := l.a.Send(data(i, int(i*97%20_000)), [2][]byte{memory[:i*97%20_000]})
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					break
				}
				l.eps[0].Wait(time.Time{})
			}
		}
	}()
	for i := range uint64(frames) {
		l.receive(l.b, 1, i)
	}
	<-ended
	if h, err := l.b.Next(); h != nil || err != nil {
		t.Errorf("after the last frame: %v, %v", h, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	n := NewNetwork(Options{})
	open := func(c transport.Config) error {
		e, err := n.Driver().Open(t.Context(), c)
		if e != nil {
			t.Cleanup(func() { mustClose(t, e.Close) })
		}
		return err
	}
	if err := open(transport.Config{Rank: 1, Size: 2}); err != nil {
		t.Fatal(err)
	}
	if err := open(transport.Config{Rank: 1, Size: 2, Job: "another"}); err != nil {
		t.Error(err)
	}
	for _, c := range []transport.Config{
		{Rank: 1, Size: 2}, // taken
		{Rank: 2, Size: 2},
		{Rank: -1, Size: 2},
		{},
		{Rank: 0, Size: 2, Job: strings.Repeat("x", maxJob+1)},
	} {
		err := open(c)
		var e *transport.LinkError
		if !errors.As(err, &e) || e.Phase != "listen" || e.Remedy == "" {
			t.Errorf("%+v: %v", c, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Driver().Open(ended, transport.Config{Size: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

// The ends of a link must agree as they must between processes.
func TestDialRefuses(t *testing.T) {
	const secret = "sixteen random bytes"
	for _, c := range []struct {
		name       string
		mine, his  transport.Config
		want       transport.HelloReason
		anotherNet bool
	}{
		{
			"secret here",
			transport.Config{Secret: []byte(secret)},
			transport.Config{},
			transport.HelloSecretHere, false,
		},
		{
			"secret there",
			transport.Config{},
			transport.Config{Secret: []byte(secret)},
			transport.HelloSecretThere, false,
		},
		{
			"wrong secret",
			transport.Config{Secret: []byte(secret)},
			transport.Config{Secret: []byte("another")},
			transport.HelloWrongSecret, false,
		},
		{"job", transport.Config{Job: "a"}, transport.Config{Job: "b"}, transport.HelloJob, false},
		{"size", transport.Config{}, transport.Config{Size: 3}, transport.HelloSize, false},
		{"network", transport.Config{}, transport.Config{}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := NewNetwork(Options{})
			there := n
			if c.anotherNet {
				there = NewNetwork(Options{})
			}
			var log bytes.Buffer
			c.mine.Logger = slog.New(slog.NewTextHandler(&log, nil))
			c.mine.Size, c.his.Rank, c.his.Size = 2, 1, max(2, c.his.Size)
			mine, his := openWith(t, n, c.mine), openWith(t, there, c.his)
			_, err := mine.Dial(t.Context(), 1, his.Addresses())
			var link *transport.LinkError
			if !errors.As(err, &link) || link.Phase != "dial" || link.Peer != 1 || link.Remedy == "" {
				t.Fatalf("%v", err)
			}
			var hello *transport.HelloError
			if c.want != 0 && (!errors.As(err, &hello) || hello.Reason != c.want) {
				t.Errorf("%v, want reason %d", err, c.want)
			}
			if strings.Contains(err.Error()+log.String(), secret) {
				t.Error("the secret shows")
			}
		})
	}
}

func openWith(t *testing.T, n *Network, c transport.Config) transport.Endpoint {
	t.Helper()
	e, err := n.Driver().Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mustClose(t, e.Close) })
	return e
}

// A payload that the other end allows and this one does not breaks the link here.
func TestLimitOfTheReceiver(t *testing.T) {
	n := NewNetwork(Options{})
	var eps [2]transport.Endpoint
	for i, limit := range []int{1 << 20, 1000} {
		eps[i] = openWith(t, n, transport.Config{Rank: i, Size: 2, MaxPayload: limit})
	}
	l := &line{t: t, net: n, eps: eps[:]}
	l.a, l.b = l.dial(0, 1)
	offer(t, l.a, data(0, 1000), make([]byte, 1000))
	offer(t, l.a, data(1, 1001), make([]byte, 1001))
	l.receive(l.b, 1, 0)
	_, err := l.b.Next()
	var frame *transport.FrameError
	if !errors.As(err, &frame) || frame.Field != "length" || frame.Got != 1001 {
		t.Fatalf("%v", err)
	}
	if _, again := l.b.Next(); again != err {
		t.Errorf("%v, then %v", err, again)
	}
	if _, err := l.a.Send(data(2, 0), [2][]byte{}); err == nil {
		t.Error("the sender does not know")
	}
	if _, err := l.b.Send(data(2, 2000), [2][]byte{make([]byte, 2000)}); !errors.As(err, &frame) {
		t.Errorf("a payload over the sender's own limit: %v", err)
	}
	l.send(l.b, 3, 1000) // the other direction is as good as before
	l.receive(l.a, 0, 3)
}

func TestDiscardOfMoreThanPeekHasShown(t *testing.T) {
	l := openLine(t, NewNetwork(Options{}), 2)
	offer(t, l.a, data(1, 10), make([]byte, 10))
	head(t, l.b)
	peek(t, l.b)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	l.b.Discard(11)
}
