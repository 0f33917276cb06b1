package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/regtable"
	"github.com/tutti-ml/tutti/rendezvous"
)

// Join is how a component comes into its group; two of one process are as good as two processes.
func ExampleJoin() {
	ctx := context.Background()
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "the group's secret", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	options := []proxy.Option{
		proxy.WithStore(store.URL()), proxy.WithSecret("the group's secret"), proxy.WithDriverName("zmq:tcp"),
		proxy.WithListen("127.0.0.1:0"), proxy.WithLease(time.Second), proxy.WithWindow(1 << 20),
		proxy.WithMaxMessage(64 << 20), proxy.WithCompression(proxy.CompressOff), proxy.WithLogger(nil),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p, err := proxy.Join(ctx, "training", "worker", map[string]int{"master": 1}, options...)
		if err != nil {
			log.Fatal(err)
		}
		m, err := p.ReceiveOnce(ctx)
		if err == nil {
			err = p.Reply(ctx, m, "", "hello")
		}
		if err := errors.Join(err, p.Close(ctx)); err != nil {
			log.Fatal(err)
		}
	}()
	p, err := proxy.Join(ctx, "training", "master", map[string]int{"worker": 1},
		append(options, proxy.WithName("the.master"))...)
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	replies, err := p.Broadcast(ctx, "worker", "greet", proxy.Task, nil)
	if err != nil {
		log.Fatal(err)
	}
	<-done // the worker has left
	fmt.Println(p.Group(), p.Type(), p.Name(), replies[0].Body)
	// Output: training master the.master hello
}

func ExampleProxy_ISend() {
	master, end := group(1, square)
	defer end()
	ctx := context.Background()
	id, err := master.ISend(ctx, proxy.NewSessionMessage("square", "worker.1", []float64{4}, proxy.Task))
	if err != nil {
		log.Fatal(err)
	}
	// The master is free to do something else here, but not to change the body.
	replies, err := master.ReceiveByID(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(replies[0].Body, replies[0].SessionID == id)
	// Output: [16] true
}

func ExampleProxy_IScatter() {
	master, end := group(2, square)
	defer end()
	ctx := context.Background()
	ids, err := master.IScatter(ctx, "square", proxy.Task, []proxy.Parcel{
		{Destination: "worker.1", Body: []float64{1}},
		{Destination: "worker.2", Body: []float64{2}},
	})
	if err != nil {
		log.Fatal(err)
	}
	replies, err := master.ReceiveByID(ctx, ids[1], ids[0]) // in any order
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(replies[0].Body, replies[1].Body)
	// Output: [4] [1]
}

func ExampleProxy_IBroadcast() {
	master, end := group(3, square)
	defer end()
	ctx := context.Background()
	ids, err := master.IBroadcast(ctx, "worker", "square", proxy.Task, []float64{2})
	if err != nil {
		log.Fatal(err)
	}
	first, err := master.ReceiveByID(ctx, ids[0]) // whoever is first
	if err != nil {
		log.Fatal(err)
	}
	rest, err := master.ReceiveByID(ctx, ids[1:]...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(ids), ids[0] == ids[2], first[0].Body, len(rest))
	// Output: 3 true [4] 2
}

// forward passes what comes on to the next worker, and the answer back.
func forward(ctx context.Context, p *proxy.Proxy) {
	m, err := p.ReceiveOnce(ctx)
	if err != nil {
		return
	}
	if p.Name() == "worker.2" {
		if err := p.Reply(ctx, m, "", m.Body.(string)+", "+m.Source); err != nil {
			log.Fatal(err)
		}
		return
	}
	id, err := p.Forward(ctx, m, "worker.2", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	replies, err := p.ReceiveByID(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Reply(ctx, m, "", replies[0].Body); err != nil {
		log.Fatal(err)
	}
}

func ExampleProxy_Forward() {
	ctx := context.Background()
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	worker := func(name string, expect map[string]int) {
		p, err := proxy.Join(ctx, "chain", "worker", expect, proxy.WithStore(store.URL()),
			proxy.WithName(name))
		if err != nil {
			log.Fatal(err)
		}
		forward(ctx, p)
		if err := p.Close(ctx); err != nil {
			log.Fatal(err)
		}
	}
	var running sync.WaitGroup
	running.Go(func() { worker("worker.1", map[string]int{"master": 1, "worker": 1}) })
	running.Go(func() { worker("worker.2", map[string]int{"worker": 1}) })
	master, err := proxy.Join(ctx, "chain", "master", map[string]int{"worker": 2},
		proxy.WithStore(store.URL()))
	if err != nil {
		log.Fatal(err)
	}
	defer master.Close(ctx)
	reply, err := master.Send(ctx, proxy.NewSessionMessage("t", "worker.1", "seen", proxy.Task))
	if err != nil {
		log.Fatal(err)
	}
	running.Wait()
	fmt.Println(reply.Source, "says:", reply.Body)
	// Output: worker.1 says: seen, worker.1
}

func ExampleProxy_Receive() {
	master, end := group(3, func(ctx context.Context, p *proxy.Proxy) {
		m := proxy.NewSessionMessage("ready", "master", []int64{7}, proxy.Notification)
		if _, err := p.ISend(ctx, m); err != nil {
			log.Fatal(err)
		}
		<-ctx.Done() // who leaves at once may not be seen by a master that is still joining
	})
	defer end()
	sum := int64(0)
	for m, err := range master.Receive(context.Background()) {
		if err != nil {
			log.Fatal(err) // a peer that was lost, say; the loop could go on
		}
		numbers, err := proxy.Decode[[]int64](m)
		if err != nil {
			log.Fatal(err)
		}
		if sum += numbers[0]; sum == 21 {
			break
		}
	}
	fmt.Println(sum)
	// Output: 21
}

func ExampleProxy_ReceiveOnce() {
	master, end := group(1, square)
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := master.ReceiveOnce(ctx)
	var wait *proxy.WaitError
	fmt.Println(errors.As(err, &wait), errors.Is(err, context.DeadlineExceeded))
	// Output: true true
}

func ExampleProxy_ReceiveUntilChange() {
	leave := make(chan struct{})
	master, end := group(1, func(ctx context.Context, p *proxy.Proxy) { <-leave })
	defer end()
	revision := master.Revision()
	fmt.Println(master.Count("worker"), master.Has("worker.1"))
	close(leave)
	m, err := master.ReceiveUntilChange(context.Background(), revision)
	fmt.Println(m, err, master.Count("worker"), master.Has("worker.1"), master.Revision() == revision)
	// Output:
	// 1 true
	// <nil> <nil> 0 false false
}

func ExampleProxy_Reply() {
	master, end := group(1, func(ctx context.Context, p *proxy.Proxy) {
		m, err := p.ReceiveOnce(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Reply(ctx, m, "done", "first"); err != nil {
			log.Fatal(err)
		}
		err = p.Reply(ctx, m, "done", "second")
		var stage *proxy.StageError
		fmt.Println("a second reply:", errors.As(err, &stage))
	})
	reply, err := master.Send(context.Background(), proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task))
	if err != nil {
		log.Fatal(err)
	}
	end()
	fmt.Println(reply.Tag, reply.Body, reply.Stage)
	// Output:
	// a second reply: true
	// done first task_complete
}

func ExampleProxy_Acknowledge() {
	master, end := group(1, func(ctx context.Context, p *proxy.Proxy) {
		m, err := p.ReceiveOnce(ctx)
		if err != nil {
			log.Fatal(err)
		}
		if err := p.Acknowledge(ctx, m, "", "it takes an hour"); err != nil {
			log.Fatal(err)
		}
		if err := p.Reply(ctx, m, "", "42"); err != nil {
			log.Fatal(err)
		}
	})
	defer end()
	ctx := context.Background()
	id, err := master.ISend(ctx, proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task))
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		messages, err := master.ReceiveByID(ctx, id)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(messages[0].Stage, messages[0].Body)
	}
	// Output:
	// task_receive it takes an hour
	// task_complete 42
}

func ExampleProxy_ReplyError() {
	master, end := group(1, square)
	defer end()
	m := proxy.NewSessionMessage("square", "worker.1", "no numbers", proxy.Task)
	_, err := master.Send(context.Background(), m)
	var remote *proxy.RemoteError
	if errors.As(err, &remote) {
		fmt.Println(remote.Peer, "failed to handle", remote.Tag)
	}
	// Output: worker.1 failed to handle square
}

func ExampleProxy_Session() {
	begin := make(chan struct{})
	master, end := group(2, func(ctx context.Context, p *proxy.Proxy) {
		<-begin
		square(ctx, p)
	})
	defer end()
	ctx := context.Background()
	body := []float64{3}
	ids, err := master.IBroadcast(ctx, "worker", "square", proxy.Task, body)
	if err != nil {
		log.Fatal(err)
	}
	session := master.Session(ids[0])
	fmt.Println(session.ID() == ids[0], session.Stages())
	close(begin)
	<-session.Done()
	body[0] = 5 // it is the caller's again
	fmt.Println(session.Stages(), master.Session(ids[0]) == nil)
	// Output:
	// true map[worker.1:task_request worker.2:task_request]
	// map[] true
}

func ExampleSession_Cancel() {
	master, end := group(1, func(ctx context.Context, p *proxy.Proxy) { <-ctx.Done() })
	defer end()
	m := proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task)
	id, err := master.ISend(context.Background(), m)
	if err != nil {
		log.Fatal(err)
	}
	session := master.Session(id)
	session.Cancel()
	<-session.Done()
	fmt.Println(master.Stats().Sessions)
	// Output: 0
}

func ExampleProxy_Peers() {
	master, end := group(3, square)
	defer end()
	fmt.Println(master.Peers(), master.Count("worker"), master.Count(regtable.Wildcard))
	// Output: map[worker:[worker.1 worker.2 worker.3]] 3 3
}

func ExampleProxy_Stats() {
	master, end := group(1, square)
	defer end()
	m := proxy.NewSessionMessage("square", "worker.1", []float64{1}, proxy.Task)
	if _, err := master.Send(context.Background(), m); err != nil {
		log.Fatal(err)
	}
	s := master.Stats()
	fmt.Println(s.SentMessages, s.ReceivedMessages, s.Inbox, s.Sessions, s.Outbox)
	// Output: 1 1 0 0 map[worker.1:0]
}

func ExampleProxy_Close() {
	master, end := group(1, square)
	ctx := context.Background()
	// The worker must have found the master before that goes.
	m := proxy.NewSessionMessage("square", "worker.1", []float64{1}, proxy.Task)
	if _, err := master.Send(ctx, m); err != nil {
		log.Fatal(err)
	}
	if err := master.Close(ctx); err != nil {
		log.Fatal(err)
	}
	_, err := master.ISend(ctx, proxy.NewMessage("t", "worker.1", nil))
	fmt.Println(errors.Is(err, proxy.ErrClosed))
	end() // closes it once more
	// Output: true
}
