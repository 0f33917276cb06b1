//go:build linux || darwin

package zmq_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// station is one end of a link in a benchmark.
type station struct {
	endpoint transport.Endpoint
	link     transport.Link
	spin     bool
	taken    uint64
}

// stations makes two of them in this process.
func stations(b *testing.B, m zmq.Mode, spin bool, options ...zmq.Option) [2]*station {
	b.Helper()
	var s [2]*station
	for i := range s {
		e, err := zmq.New(m, options...).Open(context.Background(),
			transport.Config{Rank: i, Size: 2, Job: b.Name()})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := e.Close(); err != nil {
				b.Error(err)
			}
		})
		s[i] = &station{endpoint: e, spin: spin}
	}
	l, err := s[0].endpoint.Dial(context.Background(), 1, s[1].endpoint.Addresses())
	if err != nil {
		b.Fatal(err)
	}
	s[0].link = l
	for s[1].link == nil {
		if s[1].link = s[1].endpoint.Accept(); s[1].link == nil {
			s[1].endpoint.Wait(time.Time{})
		}
	}
	return s
}

func (s *station) idle() {
	if !s.spin {
		s.endpoint.Wait(time.Time{})
	}
}

// put sends a frame and, when flush is set, waits until its memory is free.
func (s *station) put(h *transport.Header, payload []byte, flush bool) error {
	h.Length = uint32(len(payload))
	for {
		ok, err := s.link.Send(h, [2][]byte{payload})
		if err != nil {
			return err
		}
		if ok {
			s.taken++
			break
		}
		s.idle()
	}
	for flush {
		n, err := s.link.Sent()
		if n == s.taken || err != nil {
			return err
		}
		s.idle()
	}
	return nil
}

// take receives a frame into dst.
func (s *station) take(dst []byte) error {
	for {
		h, err := s.link.Next()
		if err != nil {
			return err
		}
		if h != nil {
			dst = dst[:h.Length]
			break
		}
		s.idle()
	}
	for len(dst) > 0 {
		n, err := s.link.Read(dst)
		if err != nil {
			return err
		}
		if dst = dst[n:]; n == 0 && len(dst) > 0 {
			s.idle()
		}
	}
	return nil
}

// peek receives a frame by windows.
func (s *station) peek(look func([]byte)) error {
	var left int
	for {
		h, err := s.link.Next()
		if err != nil {
			return err
		}
		if h != nil {
			left = int(h.Length)
			break
		}
		s.idle()
	}
	for left > 0 {
		w, err := s.link.Peek()
		if err != nil {
			return err
		}
		if len(w) == 0 {
			s.idle()
			continue
		}
		look(w)
		left -= len(w)
		s.link.Discard(len(w))
	}
	return nil
}

// BenchmarkThroughput moves messages one way to another process, over links and over a bare
// connection, in turns, and reports the medians of all and the median of the ratios, in which 1 is
// the bare connection. A parked link waits in poll(2) and a bare connection in Go's network poller;
// a spinning one doesn't wait.
func BenchmarkThroughput(b *testing.B) {
	for _, m := range []zmq.Mode{zmq.TCP, zmq.IPC} {
		for _, size := range []int{64 << 10, 1 << 20, 16 << 20} {
			for _, acks := range []bool{false, true} {
				how := "stream"
				if acks {
					how = "acked"
				}
				b.Run(fmt.Sprintf("%v/%dKiB/%s", m, size>>10, how), func(b *testing.B) {
					flows := startPeer(b, m, flowSpec{Name: "bare"}, flowSpec{Name: "parked"},
						flowSpec{Name: "spinning", Spin: true},
						flowSpec{Name: "spinning-peek", Spin: true, Peek: true})
					n := max(4, (64<<20)/size)
					compareFlows(b, flows, n, size, acks, "GB/s", func(d time.Duration) float64 {
						return float64(n*size) / d.Seconds() / 1e9
					})
				})
			}
		}
	}
}

// BenchmarkPingPong is half a round trip of a frame with 64 bytes of payload between processes.
func BenchmarkPingPong(b *testing.B) {
	for _, m := range []zmq.Mode{zmq.TCP, zmq.IPC} {
		b.Run(m.String(), func(b *testing.B) {
			flows := startPeer(b, m, flowSpec{Name: "bare"}, flowSpec{Name: "parked"},
				flowSpec{Name: "spinning", Spin: true})
			const n = 500
			compareFlows(b, flows, n, 64, true, "µs", func(d time.Duration) float64 {
				return d.Seconds() * 1e6 / (2 * n)
			})
		})
	}
}

// compareFlows runs the flows in turns.
func compareFlows(b *testing.B, flows []*flow, n, size int, acks bool, unit string,
	figure func(time.Duration) float64,
) {
	src := make([]byte, size)
	figures, ratios := make([][]float64, len(flows)), make([][]float64, len(flows))
	for b.Loop() {
		first := 0.0
		for i, f := range flows {
			d, err := f.run(n, src, acks)
			if err != nil {
				b.Fatal(err)
			}
			x := figure(d)
			if i == 0 {
				first = x
			}
			figures[i] = append(figures[i], x)
			ratios[i] = append(ratios[i], x/first)
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, f := range flows {
		b.ReportMetric(median(figures[i]), f.spec.Name+"-"+unit)
		if i > 0 {
			b.ReportMetric(median(ratios[i]), f.spec.Name+"-ratio")
		}
	}
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// BenchmarkBuffers compares send buffers of Unix sockets: the system's own first, which the ratios
// refer to.
func BenchmarkBuffers(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20, 16 << 20} {
		for _, spin := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/spin=%v", size>>10, spin), func(b *testing.B) {
				var specs []flowSpec
				for _, n := range []int{0, 256 << 10, 512 << 10, 1 << 20, 4 << 20} {
					specs = append(specs, flowSpec{
						Name: fmt.Sprintf("%dKiB", n>>10), Spin: spin, Peek: true, UnixSendBytes: n,
					})
				}
				n := max(4, (64<<20)/size)
				flows := startPeer(b, zmq.IPC, specs...)
				compareFlows(b, flows, n, size, false, "GB/s", func(d time.Duration) float64 {
					return float64(n*size) / d.Seconds() / 1e9
				})
			})
		}
	}
}

// BenchmarkExchange has both ends send and receive at once, each with one goroutine, as the steps
// of a ring do.
func BenchmarkExchange(b *testing.B) {
	for _, m := range []zmq.Mode{zmq.TCP, zmq.IPC} {
		for _, n := range []int{0, 512 << 10, 1 << 20, 4 << 20} {
			if m == zmq.TCP && n > 0 {
				continue
			}
			for _, spin := range []bool{false, true} {
				b.Run(fmt.Sprintf("%v/%dKiB/spin=%v", m, n>>10, spin), func(b *testing.B) {
					exchange(b, stations(b, m, spin, zmq.UnixSendBytes(n)), 1<<20)
				})
			}
		}
	}
}

func exchange(b *testing.B, s [2]*station, size int) {
	const n = 32
	var rates []float64
	for b.Loop() {
		end := make(chan error, 2)
		begin := time.Now()
		for _, one := range s {
			go func() { end <- one.exchange(n, make([]byte, size)) }()
		}
		for range s {
			if err := <-end; err != nil {
				b.Fatal(err)
			}
		}
		rates = append(rates, float64(n*size)/time.Since(begin).Seconds()/1e9)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rates), "GB/s-each-way")
}

// exchange sends n messages and receives as many.
func (s *station) exchange(n int, payload []byte) error {
	h := &transport.Header{Kind: transport.Data, Length: uint32(len(payload))}
	want := s.taken + uint64(n)
	left := 0
	for received, done := 0, uint64(0); received < n || done < want; {
		moved := false
		if s.taken < want {
			ok, err := s.link.Send(h, [2][]byte{payload})
			if err != nil {
				return err
			}
			if ok {
				s.taken, moved = s.taken+1, true
			}
		}
		now, err := s.link.Sent()
		if err != nil {
			return err
		}
		moved, done = moved || now > done, now
		head, err := s.link.Next()
		if err != nil {
			return err
		}
		if head != nil && received < n {
			if left == 0 {
				left = int(head.Length)
			}
			w, err := s.link.Peek()
			if err != nil {
				return err
			}
			s.link.Discard(len(w))
			if left -= len(w); left == 0 {
				received++
			}
			moved = moved || len(w) > 0
		}
		if !moved {
			s.idle()
		}
	}
	return nil
}
