//go:build linux || darwin

package zmq_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
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

// conns is a pair of plain connections, as the measure.
func conns(b *testing.B, m zmq.Mode) (net.Conn, net.Conn) {
	b.Helper()
	network, address := "tcp", "127.0.0.1:0"
	if m == zmq.IPC {
		network, address = "unix", filepath.Join(b.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial(network, l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = dialed.Close()
		_ = accepted.Close()
	})
	return dialed, accepted
}

// flow is one way to move messages from one goroutine to another.
type flow struct {
	name     string
	out, in  func(payload []byte) error // one message
	ack, nod func() error               // the answer: awaited by the sender, given by the receiver
}

func bare(b *testing.B, m zmq.Mode) flow {
	from, to := conns(b, m)
	var head, got [73]byte
	var one, answer [73]byte
	return flow{
		name: "bare",
		out: func(p []byte) error {
			buffers := net.Buffers{head[:], p}
			_, err := buffers.WriteTo(from)
			return err
		},
		in: func(p []byte) error {
			if _, err := io.ReadFull(to, got[:]); err != nil {
				return err
			}
			_, err := io.ReadFull(to, p)
			return err
		},
		ack: func() error { _, err := io.ReadFull(from, answer[:]); return err },
		nod: func() error { _, err := to.Write(one[:]); return err },
	}
}

func linked(b *testing.B, m zmq.Mode, spin, peek bool, options ...zmq.Option) flow {
	s := stations(b, m, spin, options...)
	h, back := &transport.Header{Kind: transport.Data}, &transport.Header{Kind: transport.Credit}
	f := flow{
		name: "parked",
		out:  func(p []byte) error { return s[0].put(h, p, true) },
		in:   s[1].take,
		ack:  func() error { return s[0].take(nil) },
		nod:  func() error { return s[1].put(back, nil, true) },
	}
	if spin {
		f.name = "spinning"
	}
	if peek {
		f.name += "-peek"
		f.in = func([]byte) error { return s[1].peek(func([]byte) {}) }
	}
	return f
}

// run moves n messages and returns how long that took.
func (f flow) run(n int, src, dst []byte, acks bool) (time.Duration, error) {
	end := make(chan error, 1)
	begin := time.Now()
	go func() {
		for range n {
			if err := f.in(dst); err != nil {
				end <- err
				return
			}
			if acks {
				if err := f.nod(); err != nil {
					end <- err
					return
				}
			}
		}
		end <- nil
	}()
	for range n {
		if err := f.out(src); err != nil {
			return 0, err
		}
		if acks {
			if err := f.ack(); err != nil {
				return 0, err
			}
		}
	}
	err := <-end
	return time.Since(begin), err
}

// BenchmarkThroughput moves messages one way over links and over a bare connection, in turns, and
// reports the medians of both, and the median of the ratios, in which 1 is the bare connection.
func BenchmarkThroughput(b *testing.B) {
	for _, m := range []zmq.Mode{zmq.TCP, zmq.IPC} {
		for _, size := range []int{64 << 10, 1 << 20, 16 << 20} {
			for _, acks := range []bool{false, true} {
				how := "stream"
				if acks {
					how = "acked"
				}
				b.Run(fmt.Sprintf("%v/%dKiB/%s", m, size>>10, how), func(b *testing.B) {
					compareFlows(b, size, acks, bare(b, m), linked(b, m, false, false),
						linked(b, m, true, false), linked(b, m, true, true))
				})
			}
		}
	}
}

func compareFlows(b *testing.B, size int, acks bool, flows ...flow) {
	src, dst := make([]byte, size), make([]byte, size)
	n := max(4, (32<<20)/size)
	times := make([][]float64, len(flows))
	ratios := make([][]float64, len(flows))
	for b.Loop() {
		for i, f := range flows {
			d, err := f.run(n, src, dst, acks)
			if err != nil {
				b.Fatal(err)
			}
			times[i] = append(times[i], float64(n*size)/d.Seconds()/1e9)
			ratios[i] = append(ratios[i], times[i][len(times[i])-1]/times[0][len(times[i])-1])
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, f := range flows {
		b.ReportMetric(median(times[i]), f.name+"-GB/s")
		if i > 0 {
			b.ReportMetric(median(ratios[i]), f.name+"-ratio")
		}
	}
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

// BenchmarkPingPong is half a round trip of a frame with 64 bytes of payload.
func BenchmarkPingPong(b *testing.B) {
	for _, m := range []zmq.Mode{zmq.TCP, zmq.IPC} {
		for _, spin := range []bool{true, false} {
			how := "parked"
			if spin {
				how = "spinning"
			}
			b.Run(fmt.Sprintf("%v/%s", m, how), func(b *testing.B) {
				s := stations(b, m, spin)
				pingPong(b, s)
			})
		}
	}
}

func pingPong(b *testing.B, s [2]*station) {
	const n = 500
	end := make(chan error, 1)
	rounds := make(chan int)
	go func() {
		h := &transport.Header{Kind: transport.Data}
		var ball [64]byte
		for k := range rounds {
			for range k {
				if err := s[1].take(ball[:]); err != nil {
					end <- err
					return
				}
				if err := s[1].put(h, ball[:], false); err != nil {
					end <- err
					return
				}
			}
		}
		end <- nil
	}()
	h := &transport.Header{Kind: transport.Data}
	var ball [64]byte
	var took []float64
	for b.Loop() {
		rounds <- n
		begin := time.Now()
		for range n {
			if err := s[0].put(h, ball[:], false); err != nil {
				b.Fatal(err)
			}
			if err := s[0].take(ball[:]); err != nil {
				b.Fatal(err)
			}
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/(2*n))
	}
	close(rounds)
	if err := <-end; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(took)/1000, "µs/half-trip")
}

// BenchmarkBuffers compares send buffers of Unix sockets: the system's own first, which the ratios
// refer to.
func BenchmarkBuffers(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20, 16 << 20} {
		for _, spin := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/spin=%v", size>>10, spin), func(b *testing.B) {
				var flows []flow
				for _, n := range []int{0, 256 << 10, 512 << 10, 1 << 20, 4 << 20} {
					f := linked(b, zmq.IPC, spin, true, zmq.UnixSendBytes(n))
					f.name = fmt.Sprintf("%dKiB", n>>10)
					flows = append(flows, f)
				}
				compareFlows(b, size, false, flows...)
			})
		}
	}
}

// BenchmarkExchange has both ends send and receive at once, each with one goroutine, as the steps of
// a ring do.
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
