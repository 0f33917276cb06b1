package inproc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// All times in this file are those of a synctest bubble: exact, and over in no time.

// line is a link between ranks 0 and 1.
type line struct {
	t    *testing.T
	net  *Network
	eps  []transport.Endpoint
	a, b transport.Link // a is rank 0's end
	mark time.Time
}

func openLine(t *testing.T, n *Network, ranks int) *line {
	t.Helper()
	l := &line{t: t, net: n, eps: openOn(t, n, ranks)}
	l.a, l.b = l.dial(0, 1)
	l.mark = time.Now()
	return l
}

// dial links two ranks and returns both ends.
func (l *line) dial(i, j int) (a, b transport.Link) {
	l.t.Helper()
	a, err := l.eps[i].Dial(context.Background(), j, l.eps[j].Addresses())
	if err != nil {
		l.t.Fatal(err)
	}
	if b = l.eps[j].Accept(); b == nil {
		l.t.Fatal("dialled, and nothing to accept")
	}
	return a, b
}

func (l *line) send(on transport.Link, seq uint64, n int) {
	l.t.Helper()
	h := &transport.Header{Kind: transport.Data, Seq: seq, Length: uint32(n)}
	ok, err := on.Send(h, [2][]byte{make([]byte, n)})
	if !ok || err != nil {
		l.t.Fatalf("Send of frame %d: %v, %v", seq, ok, err)
	}
}

// receive waits for a frame and says when it came.
func (l *line) receive(at transport.Link, rank int, seq uint64) time.Duration {
	l.t.Helper()
	for {
		h, err := at.Next()
		if err != nil {
			l.t.Fatalf("frame %d: %v", seq, err)
		}
		if h == nil {
			l.eps[rank].Wait(time.Time{})
			continue
		}
		if h.Seq != seq {
			l.t.Fatalf("frame %d came, want %d", h.Seq, seq)
		}
		payload := make([]byte, h.Length) // h is not valid after Read
		if n, err := at.Read(payload); n != len(payload) || err != nil {
			l.t.Fatalf("frame %d: Read gave %d, %v", seq, n, err)
		}
		return time.Since(l.mark)
	}
}

// nothing checks that no frame comes within the time.
func (l *line) nothing(at transport.Link, rank int, within time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); {
		l.eps[rank].Wait(end)
		if h, err := at.Next(); h != nil || err != nil {
			l.t.Fatalf("%v, %v came after %v", h, err, time.Since(l.mark))
		}
	}
}

func (l *line) at(got, want time.Duration) {
	l.t.Helper()
	if got != want {
		l.t.Errorf("came after %v, want %v", got, want)
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SetLink(0, 1, LinkConditions{Delay: 10 * time.Millisecond})
		l.send(l.a, 0, 100)
		l.send(l.a, 1, 100_000)
		l.send(l.b, 2, 0)
		l.at(l.receive(l.a, 0, 2), 0) // the other direction is as fast as ever
		l.at(l.receive(l.b, 1, 0), 10*time.Millisecond)
		l.at(l.receive(l.b, 1, 1), 10*time.Millisecond)
		n.SetLink(0, 1, LinkConditions{})
		l.send(l.a, 3, 0)
		l.at(l.receive(l.b, 1, 3), 10*time.Millisecond)
	})
}

// A shorter delay does not let a frame overtake those under way.
func TestConditionsKeepTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SetLink(0, 1, LinkConditions{Delay: time.Second})
		l.send(l.a, 0, 8)
		n.SetLink(0, 1, LinkConditions{})
		l.send(l.a, 1, 8)
		l.at(l.receive(l.b, 1, 0), time.Second)
		l.at(l.receive(l.b, 1, 1), time.Second)
		l.send(l.a, 2, 8)
		l.at(l.receive(l.b, 1, 2), time.Second)
	})
}

func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SetLink(0, 1, LinkConditions{Bandwidth: 1 << 20, Delay: time.Millisecond})
		for i := range uint64(3) {
			l.send(l.a, i, 1<<20)
		}
		for i := range uint64(3) {
			l.at(l.receive(l.b, 1, i), time.Duration(i+1)*time.Second+time.Millisecond)
		}
	})
}

// Dial takes as long as a question and its answer.
func TestDialTakesARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		n.SetLink(0, 1, LinkConditions{Delay: 30 * time.Millisecond})
		n.SetLink(1, 0, LinkConditions{Delay: 12 * time.Millisecond})
		begin := time.Now()
		openLine(t, n, 2)
		if took := time.Since(begin); took != 42*time.Millisecond {
			t.Errorf("Dial took %v", took)
		}
	})
}

func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 3)
		other, _ := l.dial(0, 2)
		n.SetLink(0, 1, LinkConditions{Delay: time.Second})
		l.send(l.a, 0, 5000)
		time.Sleep(1500 * time.Millisecond)
		l.send(l.a, 1, 5000) // under way when the link breaks
		n.Cut(1, 0)
		l.receive(l.b, 1, 0) // this one had arrived
		for rank, end := range []transport.Link{l.a, l.b} {
			_, err := end.Next()
			checkCut(t, err, "receive", rank, 1-rank)
			_, err = end.Send(&transport.Header{Kind: transport.Data}, [2][]byte{})
			checkCut(t, err, "send", rank, 1-rank)
			if _, again := end.Sent(); again != err {
				t.Errorf("Sent: %v, after %v", again, err)
			}
			end.Reclaim()
		}
		if k, _ := l.a.Sent(); k != 2 {
			t.Errorf("after Reclaim %d of 2 frames are done", k)
		}
		_, err := l.eps[1].Dial(context.Background(), 0, l.eps[0].Addresses())
		checkCut(t, err, "dial", 1, 0)
		l.send(other, 0, 10) // the link between 0 and 2 is as before
		n.Heal(0, 1)
		l.a, l.b = l.dial(0, 1)
		l.send(l.b, 7, 100)
		l.receive(l.a, 0, 7)
	})
}

func checkCut(t *testing.T, err error, phase string, rank, peer int) {
	t.Helper()
	var e *transport.LinkError
	if !errors.As(err, &e) || !errors.Is(err, ErrCut) {
		t.Fatalf("the error is %v, no *LinkError that wraps ErrCut", err)
	}
	if e.Phase != phase || e.Rank != rank || e.Peer != peer || e.Remedy == "" {
		t.Errorf("the error is %+v, want phase %s, rank %d, peer %d", e, phase, rank, peer)
	}
}

// One direction can break alone.
func TestCutOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SetLink(0, 1, LinkConditions{Fault: Broken})
		_, err := l.a.Send(&transport.Header{Kind: transport.Data}, [2][]byte{})
		checkCut(t, err, "send", 0, 1)
		_, err = l.b.Next()
		checkCut(t, err, "receive", 1, 0)
		l.send(l.b, 1, 10_000)
		l.receive(l.a, 0, 1)
	})
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SetLink(0, 1, LinkConditions{Delay: time.Second})
		l.send(l.a, 0, 10)
		n.Silence(0, 1)
		sent := uint64(1)
		for ; ; sent++ { // the link takes what it can hold, and no more
			h := &transport.Header{Kind: transport.Data, Seq: sent}
			if ok, err := l.a.Send(h, [2][]byte{}); err != nil {
				t.Fatal(err)
			} else if !ok {
				break
			}
		}
		l.nothing(l.b, 1, time.Hour)
		n.Heal(0, 1)
		for i := range sent {
			l.at(l.receive(l.b, 1, i), time.Hour+time.Second)
		}
		l.send(l.b, 0, 0)
		l.at(l.receive(l.a, 0, 0), time.Hour+time.Second)
	})
}

func TestSilenceOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SetLink(1, 0, LinkConditions{Fault: Silent})
		l.send(l.a, 0, 10)
		l.send(l.b, 0, 10)
		l.receive(l.b, 1, 0)
		l.nothing(l.a, 0, time.Minute)
		n.SetLink(1, 0, LinkConditions{})
		l.at(l.receive(l.a, 0, 0), time.Minute)
	})
}

func TestDialThroughSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		eps := openOn(t, n, 2)
		n.Silence(0, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := eps[0].Dial(ctx, 1, eps[1].Addresses())
		var e *transport.LinkError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Peer != 1 {
			t.Errorf("%v", err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Dial gave up after %v", took)
		}
		time.AfterFunc(time.Minute, func() { n.Heal(0, 1) })
		if _, err := eps[0].Dial(t.Context(), 1, eps[1].Addresses()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != time.Minute+time.Second {
			t.Errorf("Dial went through after %v", took)
		}
		n.Silence(0, 1)
		time.AfterFunc(time.Second, func() {
			if err := eps[0].Close(); err != nil {
				t.Error(err)
			}
		})
		_, err = eps[0].Dial(t.Context(), 1, eps[1].Addresses())
		if !errors.Is(err, transport.ErrClosed) {
			t.Errorf("Dial of an endpoint that was closed: %v", err)
		}
	})
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := &line{t: t, net: n, eps: openOn(t, n, 5)}
		ends := map[direction]transport.Link{}
		for i := range 5 {
			for j := range i {
				ends[direction{i, j}], ends[direction{j, i}] = l.dial(i, j)
			}
		}
		n.Partition([]int{0, 1}, []int{2, 3}) // 4 is in neither
		cut := func(d direction) bool { return d.from < 4 && d.to < 4 && d.from/2 != d.to/2 }
		for _, link := range ends {
			l.send(link, 1, 8)
		}
		synctest.Wait()
		for d := range ends {
			at := ends[direction{d.to, d.from}]
			h, err := at.Next()
			if err != nil {
				t.Fatal(err)
			}
			if got := h == nil; got != cut(d) {
				t.Errorf("from %d to %d: held back %v", d.from, d.to, got)
			}
		}
		n.HealAll()
		for d := range ends {
			if cut(d) {
				l.receive(ends[direction{d.to, d.from}], d.to, 1)
			}
		}
	})
}

func TestSlowReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SlowReceiver(1, time.Second)
		for i := range uint64(4) {
			l.send(l.a, i, 10)
			l.send(l.b, i, 10)
		}
		for i := range uint64(4) {
			l.at(l.receive(l.a, 0, i), 0)
		}
		for i := range uint64(4) {
			l.at(l.receive(l.b, 1, i), time.Duration(i)*time.Second)
		}
		n.SlowReceiver(1, 0)
		for i := range uint64(4) {
			l.send(l.a, i, 10)
		}
		for i := range uint64(4) {
			l.at(l.receive(l.b, 1, i), 3*time.Second)
		}
	})
}

// What was sent before Close arrives in its time, and then the end does.
func TestCloseBehindADelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(Options{})
		l := openLine(t, n, 2)
		n.SetLink(0, 1, LinkConditions{Delay: time.Second})
		l.send(l.a, 0, 10)
		l.send(l.a, 1, 100_000)
		if err := l.a.Close(); err != nil {
			t.Fatal(err)
		}
		l.nothing(l.b, 1, 999*time.Millisecond)
		l.at(l.receive(l.b, 1, 0), time.Second)
		l.at(l.receive(l.b, 1, 1), time.Second)
		if _, err := l.b.Next(); !errors.Is(err, transport.ErrClosed) {
			t.Errorf("after the last frame: %v", err)
		}
	})
}
