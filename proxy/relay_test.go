package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/transport/inproc"
)

// spread is a group on three hosts: the master and worker a.1 on one, workers b.1 to b.3 and c.1 to
// c.2 on others.
func spread(t *testing.T, options ...proxy.Option) map[string]*proxy.Proxy {
	parts := []part{{"master", "a.0", map[string]int{"worker": 6}}}
	for _, name := range []string{"a.1", "b.1", "b.2", "b.3", "c.1", "c.2"} {
		parts = append(parts, part{"worker", name, map[string]int{"master": 1}})
	}
	driver := proxy.WithDriver(inproc.NewNetwork(inproc.Options{}).Driver())
	return joinWith(t, embeddedStore(t), parts, func(p part) []proxy.Option {
		host := strings.Repeat(p.name[:1], 8)
		return append(slices.Clone(options), driver, proxy.WithHostID(host))
	})
}

func TestBroadcastCrossesAWireOnce(t *testing.T) {
	all := spread(t)
	master := all["a.0"]
	body := make([]float32, 256<<10/4)
	for i := range body {
		body[i] = float32(i)
	}
	ctx := soon(t)
	var group sync.WaitGroup
	for name, p := range all {
		if p == master {
			continue
		}
		group.Go(func() {
			for range 3 {
				m, err := p.ReceiveOnce(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if m.Source != "a.0" || m.SourceType != "master" || !slices.Equal(m.Body.([]float32), body) {
					t.Errorf("%s got %v, or another body", name, m)
				}
				clear(m.Body.([]float32)) // it is the receiver's, relay or not
				if err := p.Reply(ctx, m, "", name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for round := range 3 {
		before := master.Stats().SentBytes
		replies, err := master.Broadcast(ctx, "worker", "params", proxy.Task, body)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range replies {
			if r.Body != r.Source {
				t.Errorf("%v has body %v", r, r.Body)
			}
		}
		// One copy for each of the other hosts' first, of which one goes on to the other, and one for
		// a.1.
		if sent := master.Stats().SentBytes - before; sent > 5*256<<10/2 {
			t.Errorf("round %d: the master has sent %d bytes", round, sent)
		}
	}
	group.Wait()
	for name, p := range all {
		if s := p.Stats(); s.Sessions != 0 || s.Duplicates != 0 || s.Inbox != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		if got := p.Peers(); p != master && len(got["worker"]) != 0 {
			t.Errorf("%s takes those it relays to for peers: %v", name, got)
		}
	}
}

// TestRelayedBroadcastKeepsTheOrder sends small messages behind large broadcasts.
func TestRelayedBroadcastKeepsTheOrder(t *testing.T) {
	all := spread(t)
	ctx := soon(t)
	const rounds = 20
	var group sync.WaitGroup
	for name, p := range all {
		if name == "a.0" {
			continue
		}
		group.Go(func() {
			for i := range 2 * rounds {
				m, err := p.ReceiveOnce(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				if got := m.Body.([]int64)[0]; got != int64(i) {
					t.Errorf("%s: message %d came at place %d", name, got, i)
				}
			}
		})
	}
	for i := range rounds {
		body := make([]int64, 128<<10/8)
		body[0] = int64(2 * i)
		ids, err := all["a.0"].IBroadcast(ctx, "worker", "large", proxy.Notification, body)
		if err != nil {
			t.Fatal(err)
		}
		for name := range all {
			if name != "a.0" {
				small := proxy.NewMessage("small", name, []int64{int64(2*i + 1)})
				if _, err := all["a.0"].ISend(ctx, small); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := all["a.0"].ReceiveByID(ctx, ids...); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
}

// TestRelayThatLeaves lets a relay go while a broadcast is on its way: the others get it once.
func TestRelayThatLeaves(t *testing.T) {
	all := spread(t, proxy.WithRejoin(proxy.Rejoin{}))
	ctx, cancel := context.WithCancel(soon(t))
	body := make([]byte, 1<<20)
	var group sync.WaitGroup
	got := map[string]int{}
	var mu sync.Mutex
	for name, p := range all {
		if name == "a.0" || name == "b.1" {
			continue
		}
		group.Go(func() {
			for m, err := range p.Receive(ctx) {
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				got[name]++
				mu.Unlock()
				if err := p.Reply(ctx, m, "", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ids, err := all["a.0"].IBroadcast(ctx, "worker", "params", proxy.Task, body)
	if err != nil {
		t.Fatal(err)
	}
	if err := all["b.1"].Close(ctx); err != nil {
		t.Fatal(err)
	}
	replies, err := all["a.0"].ReceiveByID(ctx, ids[:5]...)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	group.Wait()
	var names []string
	for _, r := range replies {
		names = append(names, r.Source)
	}
	slices.Sort(names)
	if want := "[a.1 b.2 b.3 c.1 c.2]"; fmt.Sprint(names) != want {
		t.Errorf("replies of %v, want %s", names, want)
	}
	for name, n := range got {
		if n != 1 {
			t.Errorf("%s got it %d times", name, n)
		}
	}
}
