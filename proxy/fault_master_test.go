package proxy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/proxy"
)

// listenProgram is a master that sends one task to each worker, and tells what it receives.
func listenProgram(ctx context.Context, s *script, p *proxy.Proxy) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range s.Tasks {
		if _, err := p.IBroadcast(ctx, "worker", "work", proxy.Task, []int64{0}); err != nil {
			return err
		}
	}
	go func() {
		hear(func(string) {})
		cancel()
	}()
	for m, err := range p.Receive(ctx) {
		switch {
		case err == nil:
			say(report{What: m.Tag, Text: m.SessionType.String()})
		case ctx.Err() != nil:
			return nil
		default:
			return err
		}
	}
	return nil
}

// mortal starts a master in a process of its own and a worker in this one, which has received the
// master's two tasks.
func mortal(t *testing.T, options ...proxy.Option) (again func() *process, master *process,
	worker *proxy.Proxy, tasks []*proxy.Message,
) {
	t.Helper()
	store := embeddedStore(t)
	s := script{
		Program: "listen", Kind: "master", Name: "master", Expect: map[string]int{"worker": 1},
		Store: store, Tasks: 2,
	}
	master = start(t, s)
	parts := []part{{"worker", "worker", map[string]int{"master": 1}}}
	worker = join(t, store, parts, options...)["worker"]
	master.read("joined")
	for range s.Tasks {
		m, err := worker.ReceiveOnce(faulty(t))
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, m)
	}
	return func() *process {
		s.Tasks = 0
		p := start(t, s)
		p.read("joined")
		return p
	}, master, worker, tasks
}

func news(tag string) *proxy.Message {
	return proxy.NewSessionMessage(tag, "master", nil, proxy.Notification)
}

// TestKilledMasterIsLost kills a master: without WithRejoin, its worker is told, by whatever it
// does next with it. A new master of the name hears of the worker again, but gets no reply to what
// the old one has asked.
func TestKilledMasterIsLost(t *testing.T) {
	ctx := faulty(t)
	again, master, worker, tasks := mortal(t)
	master.kill()
	_, err := worker.Send(ctx, news("lost"))
	var lost *proxy.PeerLostError
	if !errors.As(err, &lost) || lost.Peer != "master" || lost.Type != "master" {
		t.Fatalf("got the error %v", err)
	}
	if err := worker.Reply(ctx, tasks[0], "", nil); !errors.As(err, &lost) || lost.Phase != "send" {
		t.Errorf("got the error %v", err)
	}
	master = again()
	if err := worker.Reply(ctx, tasks[1], "", nil); err != nil {
		t.Errorf("a reply that nobody waits for: %v", err)
	}
	if s := worker.Stats(); s.Late != 1 {
		t.Errorf("one reply was late, yet: %+v", s)
	}
	if _, err := worker.Send(ctx, news("found")); err != nil {
		t.Error(err)
	}
	if r := master.read("found"); r.Text != "notification" {
		t.Errorf("the new master got %+v", r)
	}
	master.finish()
}

// TestKilledMasterGetsNotifications kills a master: with WithRejoin, a new one of the name gets
// what the worker has sent it meanwhile, in order, but no reply to what the old one has asked.
func TestKilledMasterGetsNotifications(t *testing.T) {
	ctx := faulty(t)
	again, master, worker, tasks := mortal(t, proxy.WithRejoin(proxy.Rejoin{}))
	master.kill()
	var ids []proxy.ID
	isend := func(tag string) {
		id, err := worker.ISend(ctx, news(tag))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	isend("first")
	if err := until(ctx, worker, func() bool { return !worker.Has("master") }); err != nil {
		t.Fatal(err)
	}
	isend("second")
	if err := worker.Reply(ctx, tasks[0], "", nil); err != nil {
		t.Error(err)
	}
	master = again()
	if err := worker.Reply(ctx, tasks[1], "", nil); err != nil {
		t.Error(err)
	}
	isend("third")
	receipts, err := worker.ReceiveByID(ctx, ids...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts {
		if r.Stage != proxy.NotificationReceive {
			t.Errorf("got %v", r)
		}
	}
	for _, tag := range []string{"first", "second", "third"} {
		master.read(tag)
	}
	if s := worker.Stats(); s.Late != 2 || s.Sessions != 0 || s.Outbox["master"] != 0 || s.Inbox != 0 {
		t.Errorf("two replies were late, yet: %+v", s)
	}
	master.finish()
}

// TestLostMasterEndsTheWait shows that a worker that waits for messages of a master that is killed
// is told of the notification that failed, once, and can go on to wait.
func TestLostMasterEndsTheWait(t *testing.T) {
	ctx := faulty(t)
	_, master, worker, _ := mortal(t)
	master.stop() // so that the notification is not received
	id, err := worker.ISend(ctx, news("unheard"))
	if err != nil {
		t.Fatal(err)
	}
	session := worker.Session(id)
	master.kill()
	m, err := worker.ReceiveOnce(ctx)
	var lost *proxy.PeerLostError
	if m != nil || !errors.As(err, &lost) || lost.Peer != "master" || lost.Phase != "notification" {
		t.Fatalf("got %v and the error %v", m, err)
	}
	<-session.Done()
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err = worker.ReceiveOnce(short)
	var ended *proxy.WaitError
	if !errors.As(err, &ended) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got the error %v", err)
	}
}
