package proxy_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/regtable"
	"github.com/tutti-ml/tutti/rendezvous"
)

// group starts a master and n workers in this process, which is how an example shows what is
// otherwise done by several. Each worker calls work until the group is closed.
func group(n int, work func(ctx context.Context, p *proxy.Proxy)) (master *proxy.Proxy, end func()) {
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			p, err := proxy.Join(context.Background(), "example", "worker", map[string]int{"master": 1},
				proxy.WithStore(store.URL()), proxy.WithName(fmt.Sprint("worker.", i+1)))
			if err != nil {
				log.Fatal(err)
			}
			work(ctx, p)
			if err := p.Close(context.Background()); err != nil {
				log.Fatal(err)
			}
		})
	}
	master, err = proxy.Join(ctx, "example", "master", map[string]int{"worker": n},
		proxy.WithStore(store.URL()), proxy.WithName("master"))
	if err != nil {
		log.Fatal(err)
	}
	return master, func() {
		cancel()
		running.Wait()
		if err := master.Close(context.Background()); err != nil {
			log.Fatal(err)
		}
		if err := store.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

// square answers every task with the squares of its numbers.
func square(ctx context.Context, p *proxy.Proxy) {
	for m, err := range p.Receive(ctx) {
		if err != nil {
			return
		}
		numbers, err := proxy.Decode[[]float64](m)
		if err != nil {
			err = p.ReplyError(ctx, m, err)
		} else {
			for i, x := range numbers { // the body is the receiver's
				numbers[i] = x * x
			}
			err = p.Reply(ctx, m, "", numbers)
		}
		if err != nil {
			return
		}
	}
}

func ExampleProxy_Send() {
	master, end := group(1, square)
	defer end()
	ctx := context.Background()
	m := proxy.NewSessionMessage("square", "worker.1", []float64{1, 2, 3}, proxy.Task)
	reply, err := master.Send(ctx, m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Source, reply.Stage, reply.Body)
	// Output: worker.1 task_complete [1 4 9]
}

func ExampleProxy_Scatter() {
	master, end := group(2, square)
	defer end()
	replies, err := master.Scatter(context.Background(), "square", proxy.Task, []proxy.Parcel{
		{Destination: "worker.1", Body: []float64{1}},
		{Destination: "worker.2", Body: []float64{2}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range replies {
		fmt.Println(r.Source, r.Body)
	}
	// Output:
	// worker.1 [1]
	// worker.2 [4]
}

func ExampleProxy_Broadcast() {
	master, end := group(2, square)
	defer end()
	replies, err := master.Broadcast(context.Background(), "worker", "square", proxy.Task, []float64{3})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range replies {
		fmt.Println(r.Source, r.Body)
	}
	// Output:
	// worker.1 [9]
	// worker.2 [9]
}

func ExampleProxy_ReceiveByID() {
	master, end := group(2, square)
	defer end()
	ctx := context.Background()
	ids, err := master.IBroadcast(ctx, "worker", "square", proxy.Task, []float64{3})
	if err != nil {
		log.Fatal(err)
	}
	// The master is free to do something else here.
	replies, err := master.ReceiveByID(ctx, ids...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(replies), replies[0].Body, replies[1].Body)
	// Output: 2 [9] [9]
}

// The handler of an event is called when 60 % of the workers, here three of five, have replied.
func ExampleNewTable() {
	master, end := group(5, square)
	defer end()
	ctx := context.Background()
	table := proxy.NewTable(master, regtable.Options[*proxy.Message]{})
	updates := 0
	_, err := table.Register(regtable.MustParse("worker:square:60%"),
		func(ctx context.Context, messages []*proxy.Message) error {
			updates = len(messages)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := master.IBroadcast(ctx, "worker", "square", proxy.Task, []float64{3}); err != nil {
		log.Fatal(err)
	}
	for m, err := range master.Receive(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if err := table.Dispatch(ctx, m); err != nil {
			log.Fatal(err)
		}
		if updates > 0 {
			break
		}
	}
	fmt.Println("updated with", updates, "replies")
	// Output: updated with 3 replies
}
