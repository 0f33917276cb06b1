package collective

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

// until waits for the pump of c to be as f wants it.
func until(t *testing.T, ctx context.Context, c *Comm, f func(p pump, leading bool) bool) {
	t.Helper()
	for {
		c.e.enter()
		ok := f(c.e.pump, c.e.leading)
		c.e.mu.Unlock()
		if ok {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the pump never gets there: %v", ctx.Err())
		}
		time.Sleep(time.Millisecond)
	}
}

// withoutPump keeps ranks from having a pump: each believes that there is one.
func withoutPump(comms ...*Comm) {
	for _, c := range comms {
		c.e.enter()
		c.e.pump.alive = true
		c.e.mu.Unlock()
	}
}

// What can be sent at once is, without a pump and without a Wait.
func TestAsyncCallsBeginAtOnce(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	if err := together(comms, func(c *Comm) error { return Barrier(ctx, c) }); err != nil { // links
		t.Fatal(err)
	}
	withoutPump(comms...)
	w := SendAsync(ctx, comms[0], []int32{5}, 1)
	got := []int32{0}
	if err := Recv(ctx, comms[1], got, 0); err != nil || got[0] != 5 {
		t.Errorf("received %d, %v", got[0], err)
	}
	if err := w.Wait(); err != nil {
		t.Error(err)
	}
}

// Done alone moves calls along.
func TestDoneWithoutPump(t *testing.T) {
	eachGround(t, 3, func(ctx context.Context, c *Comm) error {
		withoutPump(c)
		for i := range 20 {
			buf := filled(1+i*5_000, int32(i))
			for w := AllReduceAsync(ctx, c, buf, tensor.Sum); !w.Done(); {
				runtime.Gosched()
			}
			if err := all(buf, int32(3*i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// The pump leads for calls that nobody waits for, gives way to who does, and ends when there are no more.
func TestPumpComesAndGoes(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	c := comms[0]
	buf := []int32{0}
	w := RecvAsync(ctx, c, buf, 1) // nothing comes yet
	until(t, ctx, c, func(p pump, _ bool) bool { return p.leads })
	for i := range int32(50) { // other calls go on meanwhile
		sum := []int32{i}
		if err := together(comms, func(c *Comm) error {
			mine := []int32{i}
			if c.Rank() == 0 {
				mine = sum
			}
			return AllReduce(ctx, c, mine, tensor.Sum)
		}); err != nil || sum[0] != 2*i {
			t.Fatalf("sum %d, %v", sum[0], err)
		}
	}
	if err := Send(ctx, comms[1], []int32{9}, 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Wait(); err != nil || buf[0] != 9 {
		t.Errorf("received %d, %v", buf[0], err)
	}
	until(t, ctx, c, func(p pump, leading bool) bool { return !p.alive && !leading })
}

// single is a driver that notes when an endpoint is used while a goroutine is in Wait that nobody has woken.
type single struct {
	transport.Driver
	broken *atomic.Bool
}

func (d single) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	ep, err := d.Driver.Open(ctx, c)
	return &singleEndpoint{Endpoint: ep, broken: d.broken}, err
}

type singleEndpoint struct {
	transport.Endpoint
	inside, woken, back atomic.Bool
	broken              *atomic.Bool
}

func (e *singleEndpoint) Wait(deadline time.Time) {
	if e.inside.Swap(true) {
		e.broken.Store(true)
	}
	e.Endpoint.Wait(deadline)
	e.back.Store(true)
	e.woken.Store(false)
	e.inside.Store(false)
	e.back.Store(false)
}

func (e *singleEndpoint) Wake() {
	e.woken.Store(true)
	e.Endpoint.Wake()
}

// used is called by what must not be called then.
func (e *singleEndpoint) used() {
	if e.inside.Load() && !e.woken.Load() && !e.back.Load() && e.inside.Load() { // it may just be coming back
		e.broken.Store(true)
	}
}

func (e *singleEndpoint) Dial(ctx context.Context, peer int, addresses []byte) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, addresses)
	if err != nil {
		return nil, err
	}
	return e.single(l), nil
}

func (e *singleEndpoint) Accept() transport.Link {
	e.used()
	if l := e.Endpoint.Accept(); l != nil {
		return e.single(l)
	}
	return nil
}

func (e *singleEndpoint) single(l transport.Link) transport.Link {
	if in, ok := l.(transport.Inliner); ok {
		return &singleInliner{singleLink{in, e}, in}
	}
	return &singleLink{l, e}
}

type singleLink struct {
	transport.Link
	e *singleEndpoint
}

func (l *singleLink) Send(h *transport.Header, pieces [2][]byte) (bool, error) {
	l.e.used()
	return l.Link.Send(h, pieces)
}

func (l *singleLink) Sent() (uint64, error) {
	l.e.used()
	return l.Link.Sent()
}

func (l *singleLink) Next() (*transport.Header, error) {
	l.e.used()
	return l.Link.Next()
}

type singleInliner struct {
	singleLink
	in transport.Inliner
}

func (l *singleInliner) Inline() int { return l.in.Inline() }

func (l *singleInliner) Post(h *transport.Header, payload []byte) bool {
	l.e.used()
	return l.in.Post(h, payload)
}

func (l *singleInliner) Pick(want *transport.Header) (payload []byte, credit uint32, ok bool) {
	l.e.used()
	return l.in.Pick(want)
}

// TestPumpAndWaiters makes calls in every way that there is, so that the lead changes hands all the time, and
// has one leader at a time.
func TestPumpAndWaiters(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			broken := &atomic.Bool{}
			comms := ranks(t, setting{size: 3, driver: single{g.driver(), broken}})
			if err := together(comms, changeHands(testContext(t))); err != nil {
				t.Error(err)
			}
			if broken.Load() {
				t.Error("two goroutines led at once, or one beside one that was parked")
			}
		})
	}
}

func changeHands(ctx context.Context) func(c *Comm) error {
	return func(c *Comm) error {
		chance := chanceOf(c)
		for i := range 150 {
			n := []int{1, 100, 5_000, 40_000}[i%4]
			a, b := filled(n, int64(i)), filled(n, int64(2*i))
			wa, wb := AllReduceAsync(ctx, c, a, tensor.Sum), AllReduceAsync(ctx, c, b, tensor.Sum)
			var other errgroup.Group
			switch chance.IntN(4) {
			case 0:
				time.Sleep(time.Duration(chance.IntN(1500)) * time.Microsecond)
			case 1:
				other.Go(wb.Wait)
			case 2:
				for !wb.Done() {
					runtime.Gosched()
				}
			}
			if err := Barrier(ctx, c); err != nil {
				return err
			}
			other.Go(wa.Wait)
			if err := other.Wait(); err != nil {
				return err
			}
			if err := wb.Wait(); err != nil {
				return err
			}
			if err := all(a, int64(3*i)); err != nil {
				return fmt.Errorf("call %d: %w", i, err)
			}
			if err := all(b, int64(6*i)); err != nil {
				return fmt.Errorf("call %d: %w", i, err)
			}
		}
		return nil
	}
}

// The pump keeps off the links of a leader that is parked.
func TestPumpKeepsOff(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			ctx, broken := testContext(t), &atomic.Bool{}
			comms := ranks(t, setting{size: 2, driver: single{g.driver(), broken}})
			big, got := make([]uint8, 2*window), []int32{0}
			w := RecvAsync(ctx, comms[0], got, 1) // for the pump to look after
			var sender errgroup.Group
			sender.Go(func() error { return Send(ctx, comms[0], big, 1) })
			for range 20 { // it parks, with frames under way, and the pump goes on looking
				time.Sleep(2 * time.Millisecond)
				comms[0].e.mu.Lock()
				comms[0].e.pump.used = true
				comms[0].e.mu.Unlock()
			}
			if err := Recv(ctx, comms[1], make([]uint8, len(big)), 0); err != nil {
				t.Error(err)
			}
			if err := Send(ctx, comms[1], []int32{4}, 0); err != nil {
				t.Error(err)
			}
			if err := sender.Wait(); err != nil {
				t.Error(err)
			}
			if err := w.Wait(); err != nil || got[0] != 4 {
				t.Errorf("received %d, %v", got[0], err)
			}
			if broken.Load() {
				t.Error("a link was used beside a goroutine that was parked")
			}
		})
	}
}

// Credit that the link did not take goes when its call ends: nobody has to be woken for it.
func TestCreditNeedsNoPump(t *testing.T) {
	ctx := testContext(t)
	ep := &fakeEndpoint{script: &script{}, size: 2, atEnd: func() {}}
	c := fakeWorld(t, 0, 2, ep)
	buf := make([]byte, window/2)
	var r request
	recv(&r, buf, 1)
	l, chunk := ep.link(1), c.planner.chunkBytes
	for i := range len(buf) / chunk {
		l.frames = append(l.frames, &fakeFrame{header: transport.Header{
			Kind: transport.Data, Flags: transport.PointToPoint, Step: uint32(i), Length: uint32(chunk),
			Fingerprint: *r.fingerprint(-1, chunk, 0),
		}, payload: make([]byte, chunk), here: chunk})
	}
	l.refuse = 1
	ep.fresh = []*fakeLink{l}
	if err := Recv(ctx, c, buf, 1); err != nil {
		t.Fatal(err)
	}
	c.e.enter()
	if l.refuse != 0 || l.taken != 1 || c.e.pump.alive {
		t.Errorf("%d refusals left, %d frames sent, a pump: %v; want 0, 1, false", l.refuse, l.taken, c.e.pump.alive)
	}
	c.e.mu.Unlock()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A pump that starts again allocates nothing.
func TestNoAllocationsForAPump(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED: the race detector allocates")
	}
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	e := comms[0].e
	again := func() {
		e.enter()
		e.active = append(e.active, &lonely)
		e.attend()
		alive := e.pump.alive
		e.active = e.active[:len(e.active)-1]
		e.mu.Unlock()
		if !alive {
			t.Error("no pump for a call that nobody waits for")
		}
		until(t, ctx, comms[0], func(p pump, _ bool) bool { return !p.alive })
	}
	n := math.Inf(1) // the runtime's own allocations are counted too
	for range 3 {
		n = min(n, testing.AllocsPerRun(5, again))
	}
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var lonely = call{async: true}
