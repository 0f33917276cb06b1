//go:build ibverbs && cgo && linux

package ibverbs_test

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"
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

// stream sends a payload so many times, and has the receiver look at it where it lies.
func (p *couple) stream(t testing.TB, payload []byte, frames int) {
	p.both(t, payload, frames, func() {
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
				p.park(1)
			}
		}
	})
}

// fill sends a payload so many times, numbered from first on, to a few destinations in turn, of
// which the sender hears before.
func (p *couple) fill(t testing.TB, payload, dst []byte, first, frames int) {
	size := len(payload)
	ahead := len(dst) / size
	slot := func(i int) []byte { return dst[i%(len(dst)/size)*size:][:size] }
	p.both(t, payload, frames, func() {
		l := p.links[1]
		for told, i := 0, 0; i < frames; i++ {
			if told-i <= ahead-ahead/4 {
				for ; told < min(frames, i+ahead); told++ {
					l.(transport.Expecter).Expect(header(first+told, size), slot(told))
				}
			}
			for {
				h, err := l.Next()
				if err != nil {
					t.Error(err)
					return
				}
				if h != nil {
					break
				}
				p.park(1)
			}
			for n := 0; n < size; {
				k, err := l.Read(slot(i)[n:])
				if err != nil {
					t.Error(err)
					return
				}
				if n += k; k == 0 {
					p.park(1)
				}
			}
		}
	})
}

// park waits at an end, unless all ends poll.
func (p *couple) park(at int) {
	if p.polls {
		runtime.Gosched()
		return
	}
	p.parks.Add(1)
	p.eps[at].Wait(time.Time{})
}

// both sends a payload so many times while receive takes it.
func (p *couple) both(t testing.TB, payload []byte, frames int, receive func()) {
	var both sync.WaitGroup
	both.Go(func() {
		h := header(0, len(payload))
		for sent := 0; sent < frames; {
			h.Seq = p.sent
			ok, err := p.links[0].Send(h, [2][]byte{payload})
			if err != nil {
				t.Error(err)
				return
			}
			if ok {
				sent++
				p.sent++
			} else {
				p.park(0)
			}
		}
		for n := uint64(0); n < p.sent; {
			var err error
			if n, err = p.links[0].Sent(); err != nil {
				t.Error(err)
				return
			}
			if n < p.sent {
				p.park(0)
			}
		}
	})
	both.Go(receive)
	both.Wait()
}

// perftest is what perftest's ib_write_bw makes of the same device, in MB/s.
func perftest(b *testing.B, size, messages int) float64 {
	b.Helper()
	args := []string{
		"-d", "rxe0", "-x", "1", "-s", strconv.Itoa(size), "-n", strconv.Itoa(max(5, messages)),
		"-u", "18", "-F",
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
	for line := range strings.SplitSeq(string(out), "\n") {
		f := strings.Fields(line)
		if len(f) >= 4 && f[0] == strconv.Itoa(size) {
			mebibytes, err := strconv.ParseFloat(f[3], 64)
			if err != nil {
				b.Fatal(err)
			}
			return mebibytes * (1 << 20) / 1e6
		}
	}
	b.Fatalf("ib_write_bw says\n%s", out)
	return 0
}

// BenchmarkBesidePerftest streams to destinations, and has perftest's ib_write_bw write as much, by
// turns: medians of rounds, and of their ratios. On a machine whose clock counts instructions, so
// that all rounds are alike, these are instructions per byte. The ends park when there is nothing to
// do, or poll, as ib_write_bw does.
func BenchmarkBesidePerftest(b *testing.B) {
	if _, err := exec.LookPath("ib_write_bw"); err != nil {
		b.Skip("SKIPPED: scripts/rdma/run.sh -with $(command -v ib_write_bw)")
	}
	for _, size := range []int{64 << 10, 1 << 20} {
		for _, polls := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/polls=%v", size>>10, polls), func(b *testing.B) {
				besidePerftest(b, size, polls)
			})
		}
	}
}

func besidePerftest(b *testing.B, size int, polls bool) {
	const rounds = 7
	p := newCouple(b, nil)
	p.polls = polls
	payload, dst := p.alloc(b, 0, size), p.alloc(b, 1, 4<<20)
	frames := (24 << 20) / size
	p.fill(b, payload, dst, 0, 16)
	for range b.N {
		var theirs, ours, ratios []float64
		before := cost(p)
		for range rounds {
			theirs = append(theirs, perftest(b, size, frames))
			begin, first := time.Now(), int(p.sent)
			p.fill(b, payload, dst, first, frames)
			ours = append(ours, float64(frames*size)/1e6/time.Since(begin).Seconds())
			ratios = append(ratios, ours[len(ours)-1]/theirs[len(theirs)-1])
		}
		after, n := cost(p), float64(rounds*frames)
		b.Logf("%d KiB: Tutti %.1f, ib_write_bw %.1f MB/s", size>>10, ours, theirs)
		b.ReportMetric(median(ours), "MB/s")
		b.ReportMetric(median(theirs), "perftest-MB/s")
		b.ReportMetric(median(ratios), "ratio")
		b.ReportMetric((after.messages-before.messages)/n, "messages/op")
		b.ReportMetric((after.doorbells-before.doorbells)/n, "doorbells/op")
		b.ReportMetric((after.direct-before.direct)/n, "direct/op")
		b.ReportMetric((after.parks-before.parks)/n, "parks/op")
	}
}

// costs is what both ends of a link have posted, and how often they have parked.
type costs struct{ messages, doorbells, direct, parks float64 }

func cost(p *couple) (c costs) {
	for _, l := range p.links {
		c.messages += float64(ibverbs.Posted(l))
		c.doorbells += float64(ibverbs.Doorbells(l))
		c.direct += float64(ibverbs.Direct(l))
	}
	c.parks = float64(p.parks.Load())
	return c
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}
