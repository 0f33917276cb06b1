package inproc

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// BenchmarkHop is the work of a frame from one rank to another, both ends of it, without waiting.
func BenchmarkHop(b *testing.B) {
	for _, n := range []int{0, 64, 4096, 65536, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := benchLine(b)
			out, in := make([]byte, n), make([]byte, n)
			h := data(1, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				if ok, err := l.a.Send(h, [2][]byte{out}); !ok || err != nil {
					b.Fatal(ok, err)
				}
				if h, err := l.b.Next(); h == nil || err != nil {
					b.Fatal(h, err)
				}
				if k, err := l.b.Read(in); k != n || err != nil {
					b.Fatal(k, err)
				}
				if _, err := l.a.Sent(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchLine(b *testing.B) *line {
	b.Helper()
	l := &line{net: NewNetwork(Options{})}
	l.eps = openOn(b, l.net, 2)
	var err error
	if l.a, err = l.eps[0].Dial(b.Context(), 1, l.eps[1].Addresses()); err != nil {
		b.Fatal(err)
	}
	l.b = l.eps[1].Accept()
	return l
}

// BenchmarkParkedRoundTrip is a ping-pong of two ranks that park between.
func BenchmarkParkedRoundTrip(b *testing.B) {
	l := benchLine(b)
	var ball [64]byte
	hit := func(e transport.Endpoint, link transport.Link) error {
		ok, err := link.Send(data(1, len(ball)), [2][]byte{ball[:]})
		if !ok && err == nil {
			err = fmt.Errorf("full")
		}
		return err
	}
	catch := func(e transport.Endpoint, link transport.Link) error {
		var in [64]byte
		for {
			h, err := link.Next()
			if err != nil {
				return err
			}
			if h != nil {
				_, err = link.Read(in[:])
				return err
			}
			e.Wait(time.Time{})
		}
	}
	var other sync.WaitGroup
	other.Go(func() {
		for catch(l.eps[1], l.b) == nil && hit(l.eps[1], l.b) == nil {
		}
	})
	for b.Loop() {
		if err := hit(l.eps[0], l.a); err != nil {
			b.Fatal(err)
		}
		if err := catch(l.eps[0], l.a); err != nil {
			b.Fatal(err)
		}
	}
	mustClose(b, l.a.Close)
	other.Wait()
}
