package proxy_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/rendezvous"
)

// A worker that ends, and is started again under its name, gets the tasks that it has not replied to.
func ExampleWithRejoin() {
	ctx := context.Background()
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	start := func() *proxy.Proxy {
		p, err := proxy.Join(ctx, "rejoin", "worker", map[string]int{"master": 1},
			proxy.WithStore(store.URL()), proxy.WithName("worker"))
		if err != nil {
			log.Fatal(err)
		}
		return p
	}
	master, err := proxy.Join(ctx, "rejoin", "master", map[string]int{"worker": 0},
		proxy.WithStore(store.URL()), proxy.WithName("master"), proxy.WithRejoin(proxy.Rejoin{
			Minimal: map[string]int{"worker": 1}, Timeout: time.Minute, Max: 50, CacheMessages: 100,
			CacheBytes: 1 << 20, Policy: proxy.CacheDropOldest,
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer master.Close(ctx)
	worker := start()
	id, err := master.ISend(ctx, proxy.NewSessionMessage("t", "worker", "a task", proxy.Task))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := worker.ReceiveOnce(ctx); err != nil {
		log.Fatal(err)
	}
	if err := worker.Close(ctx); err != nil { // without a reply
		log.Fatal(err)
	}
	worker = start()
	defer worker.Close(ctx)
	m, err := worker.ReceiveOnce(ctx)
	if err == nil {
		err = worker.Reply(ctx, m, "", "done at last")
	}
	if err != nil {
		log.Fatal(err)
	}
	replies, err := master.ReceiveByID(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Body, replies[0].Body, proxy.CacheDropOldest)
	// Output: a task done at last drop-oldest
}
