package proxy_test

import (
	"context"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
)

func BenchmarkSend(b *testing.B) {
	all := join(b, embeddedStore(b), masterAndWorkers(1))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	worker, master := all["worker.1"], all["master"]
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range worker.Receive(ctx) {
			if err == nil {
				err = worker.Reply(ctx, m, "", nil)
			}
			if err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := master.Send(ctx, proxy.NewSessionMessage("t", "worker.1", nil, proxy.Task)); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	<-done
}
