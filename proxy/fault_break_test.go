package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/tutti-ml/tutti/proxy"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/inproc"
	"github.com/tutti-ml/tutti/transport/shm"
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

func (e *fragileEndpoint) Dial(ctx context.Context, peer int, addresses []byte,
) (transport.Link, error) {
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

// Alloc returns what the driver has, so that its links lend and break.
func (e *fragileEndpoint) Alloc(n int) ([]byte, error) {
	if special, ok := e.Endpoint.(transport.Allocator); ok {
		return special.Alloc(n)
	}
	return nil, errors.ErrUnsupported
}

func (e *fragileEndpoint) Free(b []byte) {
	if special, ok := e.Endpoint.(transport.Allocator); ok {
		special.Free(b)
	}
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

// TestBrokenLinksLoseNothing breaks links at random moments, in the middle of frames too. All
// messages arrive once, in the order in which they were sent, and so do the replies.
func TestBrokenLinksLoseNothing(t *testing.T) {
	for name, open := range map[string]func() transport.Driver{
		"inproc": func() transport.Driver { return inproc.NewNetwork(inproc.Options{}).Driver() },
		"tcp":    func() transport.Driver { return zmq.New(zmq.TCP) },
		"shm":    func() transport.Driver { return shm.New() },
	} {
		if name == "shm" && runtime.GOOS != "linux" {
			continue
		}
		runs, breaks := 8, 20
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
				all := join(t, embeddedStore(t), masterAndWorkers(3), proxy.WithDriver(d),
					proxy.WithLease(time.Minute)) // a busy machine is not what is tested
				d.mu.Lock()
				d.breaks = breaks
				d.mu.Unlock()
				workers := []*proxy.Proxy{all["worker.1"], all["worker.2"], all["worker.3"]}
				brokenRun(faulty(t), t, all["master"], workers, d)
			})
		}
	}
}

// brokenRun sends messages of all types and sizes until all breaks have come, and a few more.
func brokenRun(ctx context.Context, t *testing.T, master *proxy.Proxy, workers []*proxy.Proxy,
	d *fragile,
) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	room := make(chan struct{}, 64) // for messages under way
	for _, w := range workers {
		group.Go(func() {
			if err := inOrder(ctx, w, room); err != nil && ctx.Err() == nil {
				t.Error(err)
				cancel()
			}
		})
	}
	type place struct {
		worker string
		number int64
	}
	next := map[string]int64{} // number, by worker
	replies := map[proxy.ID]place{}
	send := func(w string, kind proxy.SessionType, size int) error {
		body := make([]int64, size)
		body[0], body[size-1] = next[w], next[w]
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		id, err := master.ISend(ctx, proxy.NewSessionMessage("n", w, body, kind))
		if kind == proxy.Task {
			replies[id] = place{w, next[w]}
		}
		next[w]++
		return err
	}
	var err error
	sent := 0
	for rest := 50; rest > 0 && err == nil; sent++ {
		d.mu.Lock()
		if d.breaks == 0 {
			rest--
		}
		size := 1 + d.random.IntN(100)
		if d.random.IntN(40) == 0 {
			size = 300_000 + d.random.IntN(100_000) // several frames
		}
		kind, w := proxy.SessionType(d.random.IntN(3)), workers[d.random.IntN(len(workers))]
		d.mu.Unlock()
		err = send(w.Name(), kind, size)
	}
	for _, w := range workers { // when these are answered, all before are
		err = errors.Join(err, send(w.Name(), proxy.Task, 1))
	}
	for err == nil && len(replies) > 0 {
		var m *proxy.Message
		if m, err = master.ReceiveOnce(ctx); err == nil {
			want, ok := replies[m.SessionID]
			body := m.Body.([]int64)
			if !ok || (place{m.Source, body[0]}) != want || body[len(body)-1] != body[0] {
				err = fmt.Errorf("%v, for %v, answers %d", m, want, body[0])
			}
			delete(replies, m.SessionID)
			m.Release()
		}
	}
	cancel()
	group.Wait()
	s := master.Stats()
	if err != nil || s.Sessions != 0 || s.Inbox != 0 || s.Late != 0 || s.Resent != 0 {
		t.Errorf("%v; at the end: %+v", err, s)
	}
	t.Logf("%d messages: %+v", sent, s)
}

// inOrder receives messages, which have to come in order, and answers tasks.
func inOrder(ctx context.Context, p *proxy.Proxy, room <-chan struct{}) error {
	for want := int64(0); ; want++ {
		m, err := p.ReceiveOnce(ctx)
		if err != nil {
			return err
		}
		body := m.Body.([]int64)
		if body[0] != want || body[len(body)-1] != want {
			return fmt.Errorf("message %d to %d came at place %d", body[0], body[len(body)-1], want)
		}
		if m.SessionType == proxy.Task {
			if err := p.Reply(ctx, m, "", body); err != nil {
				return err
			}
		}
		m.Release()
		<-room
	}
}
