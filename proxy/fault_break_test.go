package proxy_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/inproc"
	"github.com/tutti-ml/tutti/transport/zmq"
)

// fragile is a driver whose links break at random moments, so many times.
type fragile struct {
	transport.Driver
	mu     sync.Mutex
	random *rand.Rand
	breaks int // to come
}

func (d *fragile) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	e, err := d.Driver.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return &fragileEndpoint{e, d}, nil
}

type fragileEndpoint struct {
	transport.Endpoint
	d *fragile
}

func (e *fragileEndpoint) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, addresses)
	if err != nil {
		return nil, err
	}
	return e.d.link(l), nil
}

func (e *fragileEndpoint) Accept() transport.Link {
	if l := e.Endpoint.Accept(); l != nil {
		return e.d.link(l)
	}
	return nil
}

// fragileLink breaks after so many calls that move something.
type fragileLink struct {
	transport.Link
	d    *fragile
	left int
}

var errFragile = errors.New("broken on purpose")

func (d *fragile) link(l transport.Link) transport.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &fragileLink{l, d, 1 + d.random.IntN(400)}
}

// wear counts a call, and says whether the link breaks.
func (l *fragileLink) wear() error {
	if l.left--; l.left > 0 {
		return nil
	}
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if l.d.breaks == 0 {
		return nil
	}
	l.d.breaks--
	return errFragile
}

func (l *fragileLink) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	if err := l.wear(); err != nil {
		return false, err
	}
	return l.Link.Send(h, pieces)
}

func (l *fragileLink) Next() (*transport.Header, error) {
	h, err := l.Link.Next()
	if h != nil && err == nil {
		err = l.wear()
	}
	return h, err
}

func (l *fragileLink) Read(dst []byte) (int, error) {
	n, err := l.Link.Read(dst)
	if n > 0 && err == nil {
		err = l.wear()
	}
	return n, err
}

// TestBrokenLinksLoseNothing breaks links at random moments, in the middle of frames too. All messages
// arrive once, in the order in which they were sent, and so do the replies.
func TestBrokenLinksLoseNothing(t *testing.T) {
	for name, open := range map[string]func() transport.Driver{
		"inproc": func() transport.Driver { return inproc.NewNetwork(inproc.Options{}).Driver() },
		"tcp":    func() transport.Driver { return zmq.New(zmq.TCP) },
	} {
		runs, breaks := 8, 8
		if testing.Short() {
			runs = 2
		}
		for range runs {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // most of the time goes by in pauses before a link is opened again
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				random := rand.New(rand.NewPCG(seed, 0))
				d := &fragile{Driver: open(), random: random}
				all := join(t, embeddedStore(t), masterAndWorkers(1), proxy.WithDriver(d))
				d.mu.Lock()
				d.breaks = breaks
				d.mu.Unlock()
				brokenRun(faulty(t), t, all["master"], all["worker.1"], d)
			})
		}
	}
}

// brokenRun sends messages of all types and sizes until all breaks have come, and a few more.
func brokenRun(ctx context.Context, t *testing.T, master, worker *proxy.Proxy, d *fragile) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.mu.Lock()
	large := make([]int64, 300_000+d.random.IntN(100_000)) // several frames
	small := make([]int64, 1+d.random.IntN(100))
	d.mu.Unlock()
	wanting := make(chan struct{}, 64) // messages under way
	var group sync.WaitGroup
	var total int64
	replies := map[proxy.ID]int64{}
	group.Go(func() { // the worker
		for want := int64(0); ; want++ {
			m, err := worker.ReceiveOnce(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				t.Error(err)
				cancel()
				return
			}
			body := m.Body.([]int64)
			if body[0] != want || body[len(body)-1] != want {
				t.Errorf("message %d to %d came at place %d", body[0], body[len(body)-1], want)
				cancel()
			}
			if m.SessionType == proxy.Task {
				if err := worker.Reply(ctx, m, "", body); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-wanting:
			case <-ctx.Done():
			}
		}
	})
	for rest := 50; rest > 0; total++ {
		d.mu.Lock()
		if d.breaks == 0 {
			rest--
		}
		body := append([]int64(nil), small...)
		if d.random.IntN(40) == 0 {
			body = append([]int64(nil), large...)
		}
		kind := proxy.SessionType(d.random.IntN(3))
		d.mu.Unlock()
		body[0], body[len(body)-1] = total, total
		select {
		case wanting <- struct{}{}:
		case <-ctx.Done():
		}
		id, err := master.ISend(ctx, proxy.NewSessionMessage("n", worker.Name(), body, kind))
		if err != nil {
			t.Error(err)
			break
		}
		if kind == proxy.Task {
			replies[id] = total
		}
	}
	for range len(replies) {
		m, err := master.ReceiveOnce(ctx)
		if err != nil {
			t.Error(err)
			break
		}
		n, ok := replies[m.SessionID]
		if body := m.Body.([]int64); !ok || body[0] != n || body[len(body)-1] != n {
			t.Errorf("%v, of message %d, answers %d", m, n, body[0])
		}
		delete(replies, m.SessionID)
	}
	last := proxy.NewSessionMessage("n", worker.Name(), []int64{total}, proxy.Task)
	if !t.Failed() {
		wanting <- struct{}{}
		if _, err := master.Send(ctx, last); err != nil {
			t.Error(err)
		}
	}
	cancel()
	group.Wait()
	s := master.Stats()
	if s.Sessions != 0 || s.Inbox != 0 || s.Late != 0 || s.Resent != 0 {
		t.Errorf("at the end: %+v", s)
	}
	t.Logf("%d messages: %+v, worker %+v", total, s, worker.Stats())
}
