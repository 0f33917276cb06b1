package collective

import (
	"context"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/tensor"
)

func TestSmoke(t *testing.T) {
	for _, p := range []int{1, 2, 3, 4, 5, 7, 8} {
		comms, err := Local(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for r, c := range comms {
			wg.Go(func() {
				for _, n := range []int{0, 1, 5, 1000, 300000} {
					for range 3 {
						buf := make([]float32, n)
						for i := range buf {
							buf[i] = float32(r + 1)
						}
						if err := AllReduce(context.Background(), c, buf, tensor.Sum); err != nil {
							t.Errorf("p %d n %d: %v", p, n, err)
							return
						}
						for i := range buf {
							if buf[i] != float32(p*(p+1)/2) {
								t.Errorf("p %d n %d rank %d: buf[%d] = %v", p, n, r, i, buf[i])
								return
							}
						}
					}
				}
			})
		}
		wg.Wait()
		for _, c := range comms {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
