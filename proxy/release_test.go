package proxy_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
)

// releasing answers every message with its own body, and releases it at once, until the context ends.
func releasing(ctx context.Context, t testing.TB, p *proxy.Proxy) {
	for m, err := range p.Receive(ctx) {
		if err == nil {
			err = p.Reply(ctx, m, "", m.Body)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		m.Release()
	}
}

func allRelease(t testing.TB, all map[string]*proxy.Proxy) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, p := range all {
		if p.Type() == "worker" {
			group.Go(func() { releasing(ctx, t, p) })
		}
	}
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
}

// TestReleasedBodies: bodies of all sizes go round through the same memory, many at a time, and none
// is seen in another's place.
func TestReleasedBodies(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(2), driver)
		allRelease(t, all)
		ctx, master := soon(t), all["master"]
		var group sync.WaitGroup
		for sender := range 4 {
			group.Go(func() {
				size := 6000 << sender
				for i := range 12 {
					body := make([]int64, size+i)
					for j := range body {
						body[j] = int64(sender*1_000_000_000 + i*10_000_000 + j)
					}
					var replies []*proxy.Message
					var err error
					if i%3 == 0 {
						replies, err = master.Broadcast(ctx, "worker", "t", proxy.Task, body)
					} else {
						replies, err = master.Scatter(ctx, "t", proxy.Task, []proxy.Parcel{
							{Destination: "worker.1", Body: body}, {Destination: "worker.2", Body: body},
						})
					}
					if err != nil {
						t.Error(err)
						return
					}
					for _, r := range replies {
						if !slices.Equal(r.Body.([]int64), body) {
							t.Errorf("reply %d to sender %d differs", i, sender)
						}
						r.Release()
					}
				}
			})
		}
		group.Wait()
	})
}

// TestReleaseSparesMemory: once there is memory for the bodies under way, no more is made.
func TestReleaseSparesMemory(t *testing.T) {
	overDrivers(t, func(t *testing.T, store string, driver proxy.Option) {
		all := join(t, store, masterAndWorkers(1), driver)
		allRelease(t, all)
		const warm, rounds, bytes = 5, 40, 1 << 20
		body := make([]byte, bytes)
		ctx := soon(t)
		var before, after runtime.MemStats
		for i := range warm + rounds {
			if i == warm {
				runtime.ReadMemStats(&before)
			}
			m, err := all["master"].Send(ctx, proxy.NewSessionMessage("t", "worker.1", body, proxy.Task))
			if err != nil || len(m.Body.([]byte)) != bytes {
				t.Fatal(err)
			}
			m.Release()
		}
		runtime.ReadMemStats(&after)
		// A body at each end would be 2 MiB.
		if each := (after.TotalAlloc - before.TotalAlloc) / rounds; each > bytes/4 {
			t.Errorf("a round trip of %d bytes allocates %d", bytes, each)
		}
	})
}
