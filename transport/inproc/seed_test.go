package inproc

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tutti-ml/tutti/transport"
)

// exchange lets all ranks send to all others for some virtual time, answering what comes, and
// returns what was delivered when.
func exchange(t *testing.T, seed uint64) (got []string) {
	synctest.Test(t, func(t *testing.T) {
		const ranks, frames = 4, 40
		begin := time.Now()
		n := NewNetwork(Options{Seed: seed, Delivered: func(d Delivery) {
			got = append(got, fmt.Sprint(d.At.Sub(begin), " from ", d.From, " to ", d.To, " link ", d.Link,
				" frame ", d.Frame, " of ", d.Bytes))
		}})
		for i := range ranks {
			for j := range ranks {
				n.SetLink(i, j, LinkConditions{
					Delay: time.Millisecond, Jitter: time.Second, Bandwidth: 1 << 20,
				})
			}
		}
		l := &line{t: t, net: n, eps: openOn(t, n, ranks)}
		ends := make([]map[int]transport.Link, ranks)
		for i := range ends {
			ends[i] = map[int]transport.Link{}
			for j := range i {
				ends[i][j], ends[j][i] = l.dial(i, j)
			}
		}
		done := make(chan struct{})
		for i := range ends {
			go func() {
				defer func() { done <- struct{}{} }()
				chatter(t, l.eps[i], ends[i], frames)
			}()
		}
		for range ends {
			<-done
		}
	})
	return got
}

// chatter sends a frame on each link and answers each frame that comes with a longer one.
func chatter(t *testing.T, e transport.Endpoint, links map[int]transport.Link, frames int) {
	payload := make([]byte, 100*frames)
	send := func(l transport.Link, step int) {
		n := 100 * step
		h := &transport.Header{Kind: transport.Data, Step: uint32(step), Length: uint32(n)}
		if ok, err := l.Send(h, [2][]byte{payload[:n]}); !ok || err != nil {
			t.Errorf("Send: %v, %v", ok, err)
		}
	}
	for _, l := range links {
		send(l, 0)
	}
	for left := frames * len(links); left > 0; {
		moved := false
		for _, l := range links {
			h, err := l.Next()
			if err != nil {
				t.Error(err)
				return
			}
			if h == nil {
				continue
			}
			step := int(h.Step)
			if h.Length > 0 {
				if n, err := l.Read(make([]byte, h.Length)); n != 100*step || err != nil {
					t.Errorf("Read: %d, %v", n, err)
				}
			}
			moved = true
			if left--; step+1 < frames {
				send(l, step+1)
			}
		}
		if !moved {
			e.Wait(time.Time{})
		}
	}
}

func TestSameSeedSameDeliveries(t *testing.T) {
	first := exchange(t, 42)
	if len(first) != 4*3*40 {
		t.Fatalf("%d deliveries", len(first))
	}
	for range 5 {
		if diff := cmp.Diff(first, exchange(t, 42)); diff != "" {
			t.Fatalf("the same seed (-first +again)\n%s", diff)
		}
	}
	if cmp.Equal(first, exchange(t, 43)) {
		t.Error("another seed gave the same deliveries")
	}
}

// Frames of one link keep their order, those of different links do not.
func TestReorderingIsAcrossLinksOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{ link, frame int }
		var order []key
		n := NewNetwork(Options{Seed: 7, Delivered: func(d Delivery) {
			order = append(order, key{d.Link, int(d.Frame)})
		}})
		eps := openOn(t, n, 2)
		l := &line{t: t, net: n, eps: eps}
		var links []transport.Link
		for range 3 {
			a, _ := l.dial(0, 1)
			links = append(links, a)
		}
		n.SetLink(0, 1, LinkConditions{Jitter: time.Second})
		for i := range uint64(20) {
			for _, a := range links {
				l.send(a, i, 8)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		next, overtaken := map[int]int{}, false
		for i, k := range order {
			if next[k.link] != k.frame {
				t.Errorf("frame %d of link %d came when %d was due", k.frame, k.link, next[k.link])
			}
			next[k.link]++
			overtaken = overtaken || i > 0 && k.frame < order[i-1].frame
		}
		if len(order) != 60 || !overtaken {
			t.Errorf("%d frames came, one link overtook another: %v", len(order), overtaken)
		}
	})
}
