package dist_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/proxy/dist"
	"github.com/tutti-ml/tutti/rendezvous"
)

// Counter is a local type that becomes a component.
type Counter struct{ sum float64 }

// Add is the handler of an event: it adds the message's numbers, and replies with the sum so far.
func (c *Counter) Add(ctx context.Context, p *proxy.Proxy, m *proxy.Message) error {
	numbers, err := proxy.Decode[[]float64](m)
	if err != nil {
		return err
	}
	for _, x := range numbers {
		c.sum += x
	}
	return p.Reply(ctx, m, "", []float64{c.sum})
}

func Example() {
	ctx := context.Background()
	store, err := rendezvous.ServeEmbedded("127.0.0.1:0", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	var running sync.WaitGroup
	running.Go(func() { // usually another process
		p, err := proxy.Join(ctx, "example", "counter", map[string]int{"client": 1},
			proxy.WithStore(store.URL()), proxy.WithName("counter"))
		if err != nil {
			log.Fatal(err)
		}
		defer p.Close(ctx)
		c := dist.New(p, &Counter{})
		err = c.On("client:add:1", func(
			ctx context.Context, c *Counter, p *proxy.Proxy, messages []*proxy.Message,
		) error {
			return c.Add(ctx, p, messages[0])
		})
		if err != nil {
			log.Fatal(err)
		}
		if err := c.Run(ctx); err != nil { // until a message "stop" comes
			log.Fatal(err)
		}
	})
	p, err := proxy.Join(ctx, "example", "client", map[string]int{"counter": 1},
		proxy.WithStore(store.URL()))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	for _, numbers := range [][]float64{{1, 2}, {3, 4}} {
		reply, err := p.Send(ctx, proxy.NewSessionMessage("add", "counter", numbers, proxy.Task))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply.Body)
	}
	if _, err := p.Send(ctx, proxy.NewSessionMessage("stop", "counter", nil, proxy.Task)); err != nil {
		log.Fatal(err)
	}
	running.Wait()
	// Output:
	// [3]
	// [10]
}
