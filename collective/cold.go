package collective

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// Results go past the caches from a size on at which caches don't hold them anyway, with what they are made of.
// Measured over shared memory with 2 and 4 ranks, result out of place (in place), in times of an ordinary copy's:
//   - last cache of 32 MiB: at 4 MiB slower; 8 to 64 MiB 0.7 to 0.9 (0.5 to 0.8);
//   - of 300 MiB: 8 MiB 0.9 to 1.2 (0.8 to 1.5), 16 MiB 0.7 to 1.07 (0.8 to 1.45), 32 and 64 MiB 0.5 to 1.04
//     (0.5 to 1.03).
const (
	leastCold   = 8 << 20
	coldOfCache = 10 // a result of this part of the last cache is cold
)

// coldBytes is the size from which on results are cold here.
var coldBytes = sync.OnceValue(func() int {
	return max(leastCold, lastCache("/sys/devices/system/cpu/cpu0/cache")/coldOfCache)
})

// lastCache returns the bytes of the largest cache that Linux describes in a directory; 0 where it doesn't.
func lastCache(dir string) int {
	sizes, _ := filepath.Glob(filepath.Join(dir, "index*", "size")) // its only error is one of the pattern
	largest := 0
	for _, name := range sizes {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // as if it were not described
		}
		digits, ok := strings.CutSuffix(strings.TrimSpace(string(b)), "K")
		if kib, err := strconv.ParseUint(digits, 10, 32); ok && err == nil {
			largest = max(largest, int(kib)<<10)
		}
	}
	return largest
}

// read moves payload to where operation i wants it. What no other operation of a large call needs goes past the
// caches.
func (c *call) read(l *inLink, i int32, dst []byte) (int, error) {
	if !l.shows || c.plan.SuccAt[i] != c.plan.SuccAt[i+1] || len(c.buf[schedule.Out]) < coldBytes() {
		return l.Read(dst)
	}
	b, err := l.Peek()
	n := min(len(b), len(dst))
	if n > 0 {
		tensor.CopyCold(dst[:n], b[:n])
		l.Discard(n)
	}
	return n, err
}

// coldSum reports whether what an operation makes of a payload goes past the caches, too: the last sum of a large
// result, which others may read, but of which nothing here is computed. Over shared memory, 2 ranks, 64 MiB, out of
// place, the direct all-reduce then takes 0.73 to 0.86 of the time; a sum in place has it in a cache anyway. The
// operands of the built-in sums commute on bits.
func (c *call) coldSum(l *inLink, o *schedule.Op) bool {
	return l.shows && o.Last && c.op == tensor.Sum && o.Kind == schedule.RecvReduce && o.Dst.Buf == schedule.Out &&
		len(c.buf[schedule.Out]) >= coldBytes()
}
