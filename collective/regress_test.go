package collective

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/rendezvous"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

// One direction carries all bytes: nothing tells the sender of the small frames that were taken but a
// message about credit, which is not worth sending for them. A large frame must go all the same.
func TestLargeFrameAfterSmallOnes(t *testing.T) {
	for _, chunk := range []int{2 << 20, 4 << 20, 16 << 20} {
		t.Run(fmt.Sprint(chunk), func(t *testing.T) {
			ctx := testContext(t)
			comms := ranks(t, setting{size: 2, opts: []Option{WithChunkBytes(chunk)}})
			err := together(comms, func(c *Comm) error {
				for _, n := range []int{16, chunk - 2*64 - 16, 2 * chunk, 16, chunk} {
					if err := Broadcast(ctx, c, make([]byte, n), 0); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Two ranks are in the Split of all three when they split their pair: the third, which is late, does
// not know the pair's new communicator.
func TestSplitsAtOnce(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 3})
	paired := make(chan struct{}, 2)
	err := together(comms, func(c *Comm) error {
		pair, err := c.Split(ctx, c.Rank()/2, 0)
		if err != nil {
			return err
		}
		if c.Rank() == 2 {
			<-paired
			<-paired
			all, err := c.Split(ctx, 0, 0)
			return errors.Join(err, sumOf(ctx, all, 3), all.Close(), pair.Close())
		}
		var all *Comm
		split := make(chan error, 1)
		go func() {
			var err error
			all, err = c.Split(ctx, 0, 0)
			split <- err
		}()
		(&faultRank{c: c}).awaitCall(func(*call) bool { return true })
		inner, err := pair.Split(ctx, 0, 0)
		paired <- struct{}{}
		if err := errors.Join(err, <-split); err != nil {
			return err
		}
		return errors.Join(sumOf(ctx, inner, 2), inner.Close(), sumOf(ctx, all, 3), all.Close(), pair.Close())
	})
	if err != nil {
		t.Error(err)
	}
}

// sumOf checks a communicator of so many ranks by a call on it.
func sumOf(ctx context.Context, c *Comm, size int) error {
	one := []int32{1}
	if err := AllReduce(ctx, c, one, tensor.Sum); err != nil {
		return err
	}
	if one[0] != int32(size) || c.Size() != size {
		return fmt.Errorf("%v: the sum of ones is %d, want %d", c, one[0], size)
	}
	return nil
}

// Several goroutines ask for the same call.
func TestWaitByMany(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			comms := ranks(t, setting{size: 2, driver: g.driver()})
			err := together(comms, func(c *Comm) error {
				for i := range 100 {
					w := BarrierAsync(ctx, c)
					errs := make([]error, 4)
					var wg sync.WaitGroup
					for k := range errs {
						wg.Go(func() {
							w.Done()
							errs[k] = w.Wait()
						})
					}
					err := Barrier(ctx, c) // reuses the call as soon as it may be
					wg.Wait()
					if err := errors.Join(append(errs, err)...); err != nil {
						return fmt.Errorf("call %d: %w", i, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A rank closes a communicator without having called on it: there is no link that could say so, and
// its links and the rest of it live on.
func TestClosedBeforeAnyLink(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			comms := ranks(t, setting{size: 4, driver: g.driver()})
			err := together(comms, func(c *Comm) error {
				half, err := c.Split(ctx, c.Rank()%2, 0) // ranks 0 and 2, ranks 1 and 3
				if err != nil {
					return err
				}
				if half.Rank() == 0 {
					return errors.Join(half.Close(), Recv(ctx, c, make([]byte, 1), c.Rank()+2))
				}
				var aborted *AbortedError
				if err := Recv(ctx, half, make([]byte, 1), 0); !errors.As(err, &aborted) || aborted.Rank != 0 {
					return fmt.Errorf("got %v, want an abort by rank 0", err)
				}
				return errors.Join(half.Close(), Send(ctx, c, make([]byte, 1), c.Rank()-2))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// The goodbye of a communicator may come before this rank has made it.
func TestGoodbyeBeforeSplit(t *testing.T) {
	c, peer := rawPeer(t, grounds[0], 1)
	offer(t, peer[0], transport.Header{Kind: transport.Goodbye, Comm: 7}, nil)
	c.e.enter()
	c.e.sweep()
	sub := c.e.newComm(7, []int{0, 1}, 0, c.planner)
	c.e.mu.Unlock()
	var aborted *AbortedError
	if err := Recv(testContext(t), sub, make([]byte, 1), 1); !errors.As(err, &aborted) || aborted.Rank != 1 {
		t.Errorf("got %v, want an abort by rank 1", err)
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
}

// A communicator that is closed keeps no plans, no scratch memory and no frames.
func TestCloseLetsMemoryGo(t *testing.T) {
	ctx := testContext(t)
	comms := ranks(t, setting{size: 2})
	err := together(comms, func(c *Comm) error {
		sub, err := c.Split(ctx, 0, 0)
		if err != nil {
			return err
		}
		if err := AllReduce(ctx, sub, make([]float32, 1<<20), tensor.Sum); err != nil {
			return err
		}
		scratch := make(chan struct{})
		for _, p := range sub.planner.cache {
			runtime.AddCleanup(p, func(c chan struct{}) { close(c) }, scratch)
		}
		if err := sub.Close(); err != nil {
			return err
		}
		for {
			runtime.GC()
			select {
			case <-scratch:
				return Barrier(ctx, c)
			case <-ctx.Done():
				return errors.New("the plan is kept")
			default:
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// The last of what a peer sent came by its second link, when the first is found to have ended.
func TestSecondLinkIsReadToItsEnd(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			c, peer := rawPeer(t, g, 2)
			payload := "12345678"
			var r request
			recv(&r, make([]byte, len(payload)), 1)
			offer(t, peer[1], transport.Header{
				Kind: transport.Data, Flags: transport.PointToPoint,
				Fingerprint: *r.fingerprint(-1, c.planner.chunkBytes, 0),
			}, []byte(payload))
			offer(t, peer[1], transport.Header{Kind: transport.Goodbye}, nil)
			for _, l := range peer {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			buf := make([]byte, len(payload))
			if err := Recv(testContext(t), c, buf, 1); err != nil || string(buf) != payload {
				t.Errorf("got %q, %v", buf, err)
			}
		})
	}
}

// Nobody reads from a peer that has been given up: what came would keep Wait from waiting.
func TestLostPeerIsHungUp(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			c, peer := rawPeer(t, g, 2)
			if err := peer[0].Close(); err != nil {
				t.Fatal(err)
			}
			var failed *RankFailedError
			if err := Recv(ctx, c, make([]byte, 1), 1); !errors.As(err, &failed) || failed.Rank != 1 {
				t.Errorf("got %v, want the failure of rank 1", err)
			}
			for ctx.Err() == nil {
				if h, err := peer[1].Next(); err != nil {
					return
				} else if h != nil && h.Kind != transport.Abort {
					t.Fatalf("a frame of kind %v", h.Kind)
				}
				if _, err := peer[1].Read(make([]byte, transport.MaxControl)); err != nil {
					return
				}
				runtime.Gosched()
			}
			t.Error("the second link is still open")
		})
	}
}

// rawPeer returns a communicator of two ranks, and the links that the test, in place of rank 1, has to
// rank 0.
func rawPeer(t *testing.T, g ground, links int) (*Comm, []transport.Link) {
	t.Helper()
	ctx := testContext(t)
	d := g.driver()
	members := make([]rendezvous.Member, 2)
	eps := make([]transport.Endpoint, 2)
	for r := range eps {
		ep, err := d.Open(ctx, transport.Config{Rank: r, Size: 2, Job: "test", HostID: "here"})
		if err != nil {
			t.Fatal(err)
		}
		eps[r] = ep
		members[r] = rendezvous.Member{Host: fmt.Sprint("host ", r), HostID: "here", Addresses: ep.Addresses()}
	}
	cfg, err := newConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newWorld(world{rank: 0, members: members, ep: eps[0], driver: d.Name(), config: cfg})
	t.Cleanup(func() {
		if err := errors.Join(eps[1].Close(), c.Close()); err != nil {
			t.Error(err)
		}
	})
	out := make([]transport.Link, links)
	for i := range out {
		if out[i], err = eps[1].Dial(ctx, 0, members[0].Addresses); err != nil {
			t.Fatal(err)
		}
	}
	for has := 0; has < links; runtime.Gosched() {
		c.e.enter()
		c.e.sweep()
		has = len(c.e.peers[1].links)
		c.e.mu.Unlock()
	}
	return c, out
}

// offer sends a frame that the link has room for.
func offer(t *testing.T, l transport.Link, h transport.Header, payload []byte) {
	t.Helper()
	h.Length = uint32(len(payload))
	if ok, err := l.Send(&h, [2][]byte{payload}); !ok || err != nil {
		t.Fatalf("send: %t, %v", ok, err)
	}
}

// The rank that gives up can ask its error for the cause.
func TestAbortKeepsItsCause(t *testing.T) {
	comms := ranks(t, setting{size: 2})
	cause := errors.New("the loss is no number")
	comms[0].Abort(cause)
	if err := Barrier(t.Context(), comms[0]); !errors.Is(err, cause) {
		t.Errorf("%v does not wrap the cause", err)
	}
	var aborted *AbortedError
	if err := Barrier(t.Context(), comms[1]); !errors.As(err, &aborted) || aborted.Cause != cause.Error() {
		t.Errorf("the other rank got %v", err)
	}
}
