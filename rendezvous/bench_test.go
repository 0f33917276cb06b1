package rendezvous

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// BenchmarkRollCall measures, over the embedded store, from the arrival of the last rank until all
// ranks have the list. The others have joined before the clock starts.
func BenchmarkRollCall(b *testing.B) {
	for _, size := range []int{2, 4, 32} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ctx := context.Background()
			server, err := ServeEmbedded("127.0.0.1:0", "s3cret", nil)
			if err != nil {
				b.Fatal(err)
			}
			defer server.Close()
			stores := make([]Store, size)
			for rank := range stores {
				stores[rank] = dialPlace(b, place{url: server.URL(), secret: "s3cret"})
			}
			b.StopTimer()
			for round := range b.N {
				job := fmt.Sprint(size, "-", round, "-", b.N)
				c, err := newCall(stores[size-1], rollOptions(job, size-1, size, "s3cret"))
				if err != nil {
					b.Fatal(err)
				}
				var wg sync.WaitGroup
				call := func(rank int) {
					defer wg.Done()
					_, err := RollCall(ctx, stores[rank], rollOptions(job, rank, size, "s3cret"))
					if err != nil {
						b.Error(err)
					}
				}
				wg.Add(size)
				for rank := range size - 1 {
					go call(rank)
				}
				for {
					r, err := c.currentRoll(ctx)
					if err != nil {
						b.Fatal(err)
					}
					if r == nil {
						continue
					}
					n, err := c.store.HLen(ctx, c.membersKey(r.ID))
					if err != nil {
						b.Fatal(err)
					}
					if n == size-1 {
						break
					}
				}
				b.StartTimer()
				call(size - 1)
				wg.Wait()
				b.StopTimer()
			}
		})
	}
}
