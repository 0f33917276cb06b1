//go:build linux

package shm_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tutti-ml/tutti/transport"
)

// The other end of every benchmark is a process of its own. The figures are medians over stretches,
// and the least: on a machine that is shared the least is what the code costs.

// report reports the median and the least of figures.
func report(b *testing.B, figures []float64, unit string, best func([]float64) float64) {
	slices.Sort(figures)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(figures[len(figures)/2], unit)
	b.ReportMetric(best(figures), "best-"+unit)
}

// BenchmarkLatency is half a round trip of a frame between processes that never park.
func BenchmarkLatency(b *testing.B) { latency(b, "echo spinning", 2000) }

// BenchmarkParked is the same between processes that park between any two frames.
func BenchmarkParked(b *testing.B) { latency(b, "echo", 100) }

func latency(b *testing.B, how string, n int) {
	for _, size := range []int{0, 4, 32, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := dial(b, start(b, how))
			s.spin = how != "echo"
			payload := make([]byte, size)
			h := &transport.Header{Kind: transport.Data}
			var took []float64
			for b.Loop() {
				begin := time.Now()
				for range n {
					if err := s.put(h, payload, false); err != nil {
						b.Fatal(err)
					}
					if _, err := s.take(payload); err != nil {
						b.Fatal(err)
					}
				}
				took = append(took, float64(time.Since(begin).Nanoseconds())/float64(2*n))
			}
			report(b, took, "ns", slices.Min[[]float64])
		})
	}
}

// BenchmarkReadv compares the ways of a payload from the memory of one process to that of another:
// through the rings, or by process_vm_readv, which a frame of its own would have to order and to
// acknowledge, so that what is shown of it here is less than it would cost.
func BenchmarkReadv(b *testing.B) {
	for _, size := range []int{8 << 10, 32 << 10, 128 << 10, 512 << 10, 4 << 20, 16 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			p := start(b, fmt.Sprint("flood ", size))
			s := dial(b, p)
			s.spin = true
			quiet := start(b, "echo") // no thread of it disturbs the other way
			dst := make([]byte, size)
			n := max(2, (16<<20)/size)
			var rings, readv []float64
			rate := func(f func()) float64 {
				begin := time.Now()
				for range n {
					f()
				}
				return float64(n*size) / time.Since(begin).Seconds() / 1e9
			}
			for b.Loop() {
				rings = append(rings, rate(func() {
					if _, err := s.take(dst); err != nil {
						b.Fatal(err)
					}
				}))
				readv = append(readv, rate(func() { readRemote(b, quiet, dst) }))
			}
			report(b, rings, "rings-GB/s", slices.Max[[]float64])
			report(b, readv, "readv-GB/s", slices.Max[[]float64])
		})
	}
}

func readRemote(b *testing.B, p *process, dst []byte) {
	local := []unix.Iovec{{Base: &dst[0]}}
	local[0].SetLen(len(dst))
	remote := []unix.RemoteIovec{{Base: p.buffer, Len: len(dst)}}
	n, err := unix.ProcessVMReadv(p.Process.Pid, local, remote, 0)
	if n != len(dst) || err != nil {
		b.Skipf("process_vm_readv: %d bytes, %v", n, err)
	}
}

// BenchmarkIdle is what a call of Next costs while nothing arrives.
func BenchmarkIdle(b *testing.B) {
	s := dial(b, start(b, "echo"))
	for b.Loop() {
		if h, err := s.link.Next(); h != nil || err != nil {
			b.Fatal(h, err)
		}
	}
}
