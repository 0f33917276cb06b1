package dist_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/proxy/dist"
	"github.com/tutti-ml/tutti/regtable"
	"github.com/tutti-ml/tutti/rendezvous"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join makes a group of one component of each kind, in pairs of kind and expected kind, with names that
// are kinds and numbers.
func join(t *testing.T, workers int, options ...proxy.Option) (*proxy.Proxy, []*proxy.Proxy) {
	t.Helper()
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, proxy.WithStore(store.URL()), proxy.WithSecret(""))
	all := make([]*proxy.Proxy, 1+workers)
	var group sync.WaitGroup
	for i := range all {
		kind, expect, name := "worker", map[string]int{"master": 1}, fmt.Sprint("worker.", i)
		if i == 0 {
			kind, expect, name = "master", map[string]int{"worker": workers}, "master"
		}
		group.Go(func() {
			var err error
			all[i], err = proxy.Join(soon(t), "group", kind, expect, append(options[:len(options):len(options)],
				proxy.WithName(name))...)
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	t.Cleanup(func() {
		for _, p := range all {
			if p != nil {
				group.Go(func() {
					if err := p.Close(soon(t)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		group.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return all[0], all[1:]
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// tally is what the components are made of.
type tally struct{ calls, messages int }

func (c *tally) count(_ context.Context, p *proxy.Proxy, messages []*proxy.Message) error {
	c.calls++
	c.messages += len(messages)
	for _, m := range messages {
		if err := p.Reply(context.Background(), m, "", c.messages); err != nil {
			return err
		}
	}
	return nil
}

func counting(ctx context.Context, c *tally, p *proxy.Proxy, messages []*proxy.Message) error {
	return c.count(ctx, p, messages)
}

// run starts a component, and returns what it ends with.
func run[T any](ctx context.Context, c *dist.Component[T]) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	return done
}

// TestDecorator is tests/communication/test_decorator.py.
func TestDecorator(t *testing.T) {
	sender, receivers := join(t, 1)
	c := dist.New(receivers[0], &struct{}{})
	err := c.On("master:*:1", func(
		ctx context.Context, _ *struct{}, p *proxy.Proxy, messages []*proxy.Message,
	) error {
		received, err := proxy.Decode[map[string]int](messages[0])
		if err != nil {
			return err
		}
		return p.Reply(ctx, messages[0], "", map[string]int{"counter": received["counter"] + 1})
	})
	if err != nil {
		t.Fatal(err)
	}
	done := run(soon(t), c)
	m := proxy.NewSessionMessage("unittest", "worker.1", map[string]int{"counter": 0}, proxy.Task)
	reply, err := sender.Send(soon(t), m)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := proxy.Decode[map[string]int](reply); err != nil || len(got) != 1 || got["counter"] != 1 {
		t.Error(got, err)
	}
	if _, err := sender.Send(soon(t), proxy.NewSessionMessage("stop", "worker.1", nil, proxy.Task)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStopMessages(t *testing.T) {
	for _, kind := range []proxy.SessionType{proxy.Plain, proxy.Task, proxy.Notification} {
		for _, tag := range []string{dist.StopTag, "enough"} {
			master, workers := join(t, 1)
			c := dist.New(workers[0], &tally{})
			if err := c.On("master:work:1", counting); err != nil {
				t.Fatal(err)
			}
			c.StopOn(tag)
			done := run(soon(t), c)
			if _, err := master.Send(soon(t), proxy.NewSessionMessage("work", "worker.1", nil, proxy.Task)); err != nil {
				t.Fatal(err)
			}
			stop := proxy.NewSessionMessage(tag, "worker.1", nil, kind)
			var err error
			if kind == proxy.Plain {
				_, err = master.ISend(soon(t), stop)
			} else {
				_, err = master.Send(soon(t), stop)
			}
			if err := errors.Join(err, <-done); err != nil {
				t.Errorf("%v %s: %v", kind, tag, err)
			}
		}
	}
}

// Without a stop tag, a message of any tag is one for the handlers.
func TestNoStopTag(t *testing.T) {
	master, workers := join(t, 1)
	self := &tally{}
	c := dist.New(workers[0], self)
	if err := c.On("*:*:1", counting); err != nil {
		t.Fatal(err)
	}
	c.StopOn("")
	ctx, cancel := context.WithCancel(soon(t))
	done := run(ctx, c)
	for _, tag := range []string{"stop", ""} {
		if _, err := master.Send(soon(t), proxy.NewSessionMessage(tag, "worker.1", nil, proxy.Task)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	var wait *proxy.WaitError
	if err := <-done; !errors.As(err, &wait) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if self.calls != 2 {
		t.Errorf("%d calls", self.calls)
	}
}

// The error of a handler ends Run, and everybody whose messages it was called with is told.
func TestHandlerError(t *testing.T) {
	master, workers := join(t, 3)
	failure := errors.New("no more paper")
	c := dist.New(master, &tally{})
	err := c.On("worker:print:100%", func(
		ctx context.Context, _ *tally, p *proxy.Proxy, messages []*proxy.Message,
	) error {
		for _, m := range messages {
			if m.Source == "worker.2" { // has its reply already
				if err := p.Reply(ctx, m, "", "printed"); err != nil {
					return err
				}
			}
		}
		return failure
	})
	if err != nil {
		t.Fatal(err)
	}
	done := run(soon(t), c)
	answers := make([]error, 3)
	var group sync.WaitGroup
	for i, w := range workers {
		kind := []proxy.SessionType{proxy.Task, proxy.Task, proxy.Plain}[i]
		group.Go(func() {
			r, err := w.Send(soon(t), proxy.NewSessionMessage("print", "master", nil, kind))
			answers[i] = err
			if i == 1 && (err != nil || r.Body != "printed") {
				t.Error(r, err)
			}
		})
	}
	group.Wait()
	for _, i := range []int{0, 2} {
		var remote *proxy.RemoteError
		if !errors.As(answers[i], &remote) || remote.Text != failure.Error() || remote.Peer != "master" {
			t.Errorf("worker %d got %v", i+1, answers[i])
		}
	}
	var handler *regtable.HandlerError
	if err := <-done; !errors.As(err, &handler) || !errors.Is(err, failure) {
		t.Error(err)
	}
}

// A percentage follows the peers: when one of three is lost, the messages of two are all there are.
func TestLossTriggers(t *testing.T) {
	master, workers := join(t, 3)
	self := &tally{}
	c := dist.New(master, self)
	fired := make(chan int, 1)
	err := c.On("worker:update:100%", func(
		_ context.Context, _ *tally, _ *proxy.Proxy, messages []*proxy.Message,
	) error {
		fired <- len(messages)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(soon(t))
	done := run(ctx, c)
	for _, w := range workers[:2] { // received, as it says that it was
		if _, err := w.Send(soon(t), proxy.NewSessionMessage("update", "master", nil, proxy.Notification)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case n := <-fired:
		t.Fatalf("fired with %d messages while three were there", n)
	default:
	}
	if err := workers[2].Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	if n := <-fired; n != 2 {
		t.Errorf("fired with %d messages", n)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// What comes in the place of a message ends Run, or is for OnError.
func TestOnError(t *testing.T) {
	enough := errors.New("enough")
	for _, handled := range []bool{false, true} {
		master, workers := join(t, 1)
		c := dist.New(master, &tally{})
		var got []error
		if handled {
			c.OnError(func(_ context.Context, _ *tally, _ *proxy.Proxy, err error) error {
				if got = append(got, err); len(got) == 2 {
					return enough
				}
				return nil
			})
		}
		for range 2 {
			if _, err := master.ISend(soon(t), proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task)); err != nil {
				t.Fatal(err)
			}
			m, err := workers[0].ReceiveOnce(soon(t))
			if err == nil {
				err = workers[0].ReplyError(soon(t), m, errors.New("cannot"))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		err := c.Run(soon(t))
		var remote *proxy.RemoteError
		switch {
		case handled && (!errors.Is(err, enough) || !errors.As(errors.Join(got...), &remote)):
			t.Error(err, got)
		case !handled && !errors.As(err, &remote):
			t.Error(err)
		}
	}
}

func TestClosedProxyEndsRun(t *testing.T) {
	master, _ := join(t, 1)
	c := dist.New(master, &tally{})
	c.OnError(func(_ context.Context, _ *tally, _ *proxy.Proxy, err error) error { return nil })
	done := run(soon(t), c)
	if err := master.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, proxy.ErrClosed) {
		t.Error(err)
	}
}

func TestEventsAreChecked(t *testing.T) {
	master, _ := join(t, 1)
	c := dist.NewWith(master, &tally{}, regtable.Options[*proxy.Message]{Sources: []string{"worker"}})
	var syntax *regtable.SyntaxError
	if err := c.On("worker:update", counting); !errors.As(err, &syntax) {
		t.Error(err)
	}
	var unknown *regtable.UnknownSourceError
	if err := c.OnEvent(regtable.MustParse("wroker:update:1"), counting); !errors.As(err, &unknown) {
		t.Error(err)
	}
	if c.Table() == nil {
		t.Error("no table")
	}
}
