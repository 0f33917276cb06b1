//go:build linux

package shm

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestPublishAndPark: of who publishes and who says that it is parked, and looks once more, one sees what
// the other has written, however the two run beside each other; with barriers, and without.
func TestPublishAndPark(t *testing.T) {
	for name, bare := range map[string]bool{"fences": false, "barriers": true} {
		t.Run(name, func(t *testing.T) {
			if bare && !barriers() {
				t.Skip("this kernel has no membarrier for several processes") // links use fences then
			}
			const words = 1 << 22
			var memory [2]shared // words of one another are on cache lines apart
			word, parked := &memory[0].filled, &memory[1].parked
			b := bell{fd: -1, theirs: &memory[1], bare: bare}
			published := make([]uint32, words+1) // by each word: how many looks had begun when it was there
			seen := []uint64{0}                  // by each look: which word was there
			var over atomic.Bool
			var both sync.WaitGroup
			both.Go(func() {
				for i := uint64(1); i <= words; i++ {
					b.publish(word, i, 0)
					published[i] = parked.Load()
				}
				over.Store(true)
			})
			for !over.Load() {
				parked.Store(uint32(len(seen)))
				if bare && !barrier() {
					continue // as who parks does
				}
				seen = append(seen, word.Load())
			}
			both.Wait()
			for n, i := range seen {
				// The look has missed the next word: who has published that must have seen that it had begun.
				if i < words && published[i+1] < uint32(n) {
					t.Fatalf("look %d has seen word %d, and number %d saw only look %d", n, i, i+1, published[i+1])
				}
			}
		})
	}
}
