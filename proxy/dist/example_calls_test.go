package dist_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/proxy/dist"
	"github.com/tutti-ml/tutti/regtable"
	"github.com/tutti-ml/tutti/rendezvous"
)

// pair joins a counter and a client, each in a process of its own usually.
func pair() (counter, client *proxy.Proxy, end func()) {
	ctx := context.Background()
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	join := func(kind, other string) *proxy.Proxy {
		p, err := proxy.Join(ctx, "pair", kind, map[string]int{other: 1}, proxy.WithStore(store.URL()),
			proxy.WithName(kind))
		if err != nil {
			log.Fatal(err)
		}
		return p
	}
	var group sync.WaitGroup
	group.Go(func() { counter = join("counter", "client") })
	client = join("client", "counter")
	group.Wait()
	return counter, client, func() {
		if err := errors.Join(client.Close(ctx), counter.Close(ctx), store.Close()); err != nil {
			log.Fatal(err)
		}
	}
}

func notify(p *proxy.Proxy, tag string) {
	m := proxy.NewSessionMessage(tag, "counter", nil, proxy.Notification)
	if _, err := p.ISend(context.Background(), m); err != nil {
		log.Fatal(err)
	}
}

func ExampleComponent_Run() {
	p, client, end := pair()
	defer end()
	// There is one client: without Uncapped, two are one.
	c := dist.NewWith(p, &Counter{}, regtable.Options[*proxy.Message]{Uncapped: true})
	err := c.On("client:add:2", func(
		ctx context.Context, self *Counter, p *proxy.Proxy, messages []*proxy.Message,
	) error {
		self.sum += float64(len(messages))
		fmt.Println("sum", self.sum)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, tag := range []string{"add", "add", "add", "add", "add", dist.StopTag} {
		notify(client, tag)
	}
	fmt.Println(c.Run(context.Background()))
	// Output:
	// sum 2
	// sum 4
	// <nil>
}

func ExampleComponent_OnEvent() {
	p, client, end := pair()
	defer end()
	c := dist.NewWith(p, &Counter{}, regtable.Options[*proxy.Message]{Sources: []string{"client"}})
	event := regtable.And(regtable.Unit("client", "begin", regtable.Count(1)),
		regtable.Unit("client", "end", regtable.Count(1)))
	err := c.OnEvent(event, func(
		_ context.Context, _ *Counter, _ *proxy.Proxy, messages []*proxy.Message,
	) error {
		fmt.Println(messages[0].Tag, messages[1].Tag)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	c.StopOn("enough")
	for _, tag := range []string{"end", "stop", "begin", "enough"} {
		notify(client, tag)
	}
	if err := c.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("unmatched:", c.Table().Stats().Unmatched)
	// Output:
	// begin end
	// unmatched: 1
}

func ExampleComponent_OnError() {
	p, client, end := pair()
	defer end()
	c := dist.New(p, &Counter{})
	c.OnError(func(_ context.Context, _ *Counter, _ *proxy.Proxy, err error) error {
		var remote *proxy.RemoteError
		if !errors.As(err, &remote) {
			return err
		}
		fmt.Println("went on after:", remote.Text)
		return nil
	})
	ctx := context.Background()
	if _, err := p.ISend(ctx, proxy.NewSessionMessage("t", "client", nil, proxy.Task)); err != nil {
		log.Fatal(err)
	}
	m, err := client.ReceiveOnce(ctx)
	if err == nil {
		err = client.ReplyError(ctx, m, errors.New("not today"))
	}
	if err != nil {
		log.Fatal(err)
	}
	notify(client, dist.StopTag)
	fmt.Println(c.Run(ctx))
	// Output:
	// went on after: not today
	// <nil>
}
