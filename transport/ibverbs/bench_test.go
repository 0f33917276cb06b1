//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

// BenchmarkStream sends frames one way, out of memory of Alloc and out of other memory, and has the
// receiver look at them where they lie, as a reduction does.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		for _, special := range []bool{true, false} {
			b.Run(fmt.Sprintf("%dKiB/alloc=%v", size>>10, special), func(b *testing.B) {
				p := newCouple(b, nil)
				payload := make([]byte, size)
				if special {
					var err error
					if payload, err = p.eps[0].(transport.Allocator).Alloc(size); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				p.stream(b, payload, b.N)
				b.ReportMetric(float64(ibverbs.Messages(p.links[0]))/float64(b.N), "messages/op")
				b.ReportMetric(float64(ibverbs.Doorbells(p.links[0]))/float64(b.N), "doorbells/op")
			})
		}
	}
}

// stream sends a payload so many times, and takes it.
func (p *couple) stream(t testing.TB, payload []byte, frames int) {
	var both sync.WaitGroup
	both.Go(func() {
		h := transport.Header{Kind: transport.Data, Length: uint32(len(payload))}
		for sent := uint64(0); sent < uint64(frames); {
			ok, err := p.links[0].Send(&h, [2][]byte{payload})
			if err != nil {
				t.Error(err)
				return
			}
			if ok {
				sent++
			} else {
				p.eps[0].Wait(time.Time{})
			}
		}
		for n := uint64(0); n < uint64(frames); {
			var err error
			if n, err = p.links[0].Sent(); err != nil {
				t.Error(err)
				return
			}
			if n < uint64(frames) {
				p.eps[0].Wait(time.Time{})
			}
		}
	})
	both.Go(func() {
		l := p.links[1]
		for range frames {
			for left := -1; left != 0; {
				if left < 0 {
					h, err := l.Next()
					if err != nil {
						t.Error(err)
						return
					}
					if h != nil {
						left = int(h.Length)
						continue
					}
				} else if w, err := l.Peek(); err != nil {
					t.Error(err)
					return
				} else if len(w) > 0 {
					l.Discard(len(w))
					left -= len(w)
					continue
				}
				p.eps[1].Wait(time.Time{})
			}
		}
	})
	both.Wait()
}

// BenchmarkPerftest is what perftest's ib_write_bw makes of the same device, where it is installed.
func BenchmarkPerftest(b *testing.B) {
	if _, err := exec.LookPath("ib_write_bw"); err != nil {
		b.Skip(err)
	}
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			args := []string{
				"-d", "rxe0", "-x", "1", "-s", strconv.Itoa(size), "-n", strconv.Itoa(max(5, b.N)), "-u", "18",
				"--report_gbits", "-F",
			}
			server := exec.Command("ib_write_bw", args...)
			if err := server.Start(); err != nil {
				b.Fatal(err)
			}
			var out []byte
			for range 100 { // until the server listens
				var err error
				if out, err = exec.Command("ib_write_bw", append(args, "127.0.0.1")...).Output(); err == nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if err := server.Wait(); err != nil {
				b.Fatal(err)
			}
			for _, line := range strings.Split(string(out), "\n") {
				f := strings.Fields(line)
				if len(f) >= 4 && f[0] == strconv.Itoa(size) {
					gbits, err := strconv.ParseFloat(f[3], 64)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(gbits*1000/8, "MB/s")
				}
			}
		})
	}
}
