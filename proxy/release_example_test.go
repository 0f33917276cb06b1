package proxy_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tutti-ml/tutti/proxy"
)

func ExampleMessage_Release() {
	master, end := group(2, func(ctx context.Context, p *proxy.Proxy) {
		for m, err := range p.Receive(ctx) {
			if err != nil {
				return
			}
			// The reply is the body itself, so its memory goes back when the reply has arrived.
			if err := p.Reply(ctx, m, "", m.Body); err != nil {
				log.Fatal(err)
			}
			m.Release()
		}
	})
	defer end()
	parameters := make([]float32, 1<<18)
	for i := range parameters {
		parameters[i] = float32(i)
	}
	for range 3 {
		replies, err := master.Broadcast(context.Background(), "worker", "echo", proxy.Task, parameters)
		if err != nil {
			log.Fatal(err)
		}
		sum := 0.0
		for _, r := range replies {
			for _, x := range r.Body.([]float32) {
				sum += float64(x)
			}
			r.Release() // no new memory is made for the next replies
		}
		fmt.Println(sum)
	}
	// Output:
	// 6.8719214592e+10
	// 6.8719214592e+10
	// 6.8719214592e+10
}
