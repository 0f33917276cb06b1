package collective

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/tensor"
)

// Messages of all sizes go both ways at once, in order.
func TestSendRecvBothWays(t *testing.T) {
	sizes := []int{1, 0, 100, 1 << 20, 7, 6 << 20, 0, 3000}
	eachGround(t, 2, func(ctx context.Context, c *Comm) error {
		other := 1 - c.Rank()
		var works []*Work
		for i, n := range sizes {
			works = append(works, SendAsync(ctx, c, filled(n, byte(16*c.Rank()+i)), other))
		}
		for i, n := range sizes {
			buf := make([]byte, n)
			if err := Recv(ctx, c, buf, other); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
			if err := all(buf, byte(16*other+i)); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		var errs []error
		for _, w := range works {
			errs = append(errs, w.Wait())
		}
		return errors.Join(errs...)
	})
}

// A message may be sent long before it is received, and be received long before it is sent.
func TestSendRecvAroundCollectives(t *testing.T) {
	eachGround(t, 3, func(ctx context.Context, c *Comm) error {
		next, previous := (c.Rank()+1)%3, (c.Rank()+2)%3
		early := make([]float64, 500)
		r := RecvAsync(ctx, c, early, previous)
		late := SendAsync(ctx, c, filled(2000, float64(10+c.Rank())), previous)
		for i := range 5 {
			buf := filled(10_000, int32(i))
			if err := errors.Join(AllReduce(ctx, c, buf, tensor.Sum), all(buf, int32(3*i))); err != nil {
				return err
			}
		}
		if err := Send(ctx, c, filled(500, float64(c.Rank())), next); err != nil {
			return err
		}
		buf := make([]float64, 2000)
		return errors.Join(Recv(ctx, c, buf, next), all(buf, float64(10+next)),
			r.Wait(), all(early, float64(previous)), late.Wait(), Barrier(ctx, c))
	})
}

// Differing lengths and types of a message are a mismatch on both ranks.
func TestSendRecvMismatch(t *testing.T) {
	for name, recv := range map[string]func(ctx context.Context, c *Comm) error{
		"length": func(ctx context.Context, c *Comm) error {
			return Recv(ctx, c, make([]float32, 11), 0)
		},
		"type": func(ctx context.Context, c *Comm) error {
			return Recv(ctx, c, make([]int32, 10), 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachGround(t, 3, func(ctx context.Context, c *Comm) error {
				var err error
				switch c.Rank() {
				case 0:
					if err = Send(ctx, c, make([]float32, 10), 1); err != nil {
						break
					}
					err = Barrier(ctx, c)
				case 1:
					err = recv(ctx, c)
				default:
					err = Barrier(ctx, c)
				}
				var m *MismatchError
				if !errors.As(err, &m) || m.RankA != 0 || m.RankB != 1 {
					return fmt.Errorf("got %v, want a mismatch of ranks 0 and 1", err)
				}
				return nil
			})
		})
	}
}

func TestSendRecvArguments(t *testing.T) {
	comms := ranks(t, setting{size: 2})
	for name, call := range map[string]func() error{
		"to nobody":      func() error { return Send(t.Context(), comms[0], []int8{1}, 2) },
		"to less":        func() error { return Send(t.Context(), comms[0], []int8{1}, -1) },
		"to itself":      func() error { return Send(t.Context(), comms[0], []int8{1}, 0) },
		"from itself":    func() error { return Recv(t.Context(), comms[1], []int8{1}, 1) },
		"from a million": func() error { return Recv(t.Context(), comms[1], []int8{1}, 1_000_000) },
	} {
		var arg *ArgumentError
		if err := call(); !errors.As(err, &arg) {
			t.Errorf("%s: got %v, want an *ArgumentError", name, err)
		}
	}
}

// Bulk that nobody has posted for, up to the window and far beyond, in both directions, on one
// communicator, stands in no other's way; and none of it is lost.
func TestUnpostedBulk(t *testing.T) {
	const messages, n = 24, 1 << 20
	eachGround(t, 2, func(ctx context.Context, c *Comm) error {
		bulk, err := c.Split(ctx, 0, 0)
		if err != nil {
			return err
		}
		other := 1 - c.Rank()
		var works []*Work
		for i := range messages {
			works = append(works, SendAsync(ctx, bulk, filled(n, byte(i)), other))
		}
		for range 20 { // only these are waited for
			buf := filled(50_000, int32(1))
			if err := errors.Join(AllReduce(ctx, c, buf, tensor.Sum), all(buf, 2)); err != nil {
				return err
			}
		}
		if err := boundedMemory(c); err != nil {
			return err
		}
		buf := make([]byte, n)
		for i := range messages {
			if err := errors.Join(Recv(ctx, bulk, buf, other), all(buf, byte(i))); err != nil {
				return fmt.Errorf("message %d: %w", i, err)
			}
		}
		for _, w := range works {
			err = errors.Join(err, w.Wait())
		}
		return errors.Join(err, Barrier(ctx, c), bulk.Close())
	})
}

// boundedMemory checks what is held of frames that no call has posted for.
func boundedMemory(c *Comm) error {
	c.e.enter()
	defer c.e.mu.Unlock()
	for _, p := range c.e.peers {
		if p == nil {
			continue
		}
		for _, ch := range p.channels {
			if held := ch.heldBytes; held > window {
				return fmt.Errorf("%d bytes are held of rank %d, more than %d", held, p.rank, window)
			}
			for i, sum := ch.held.at, 0; i < len(ch.held.items); i++ {
				if sum += len(ch.held.items[i].data); sum > ch.heldBytes {
					return fmt.Errorf("%d bytes are held of rank %d, but %d are counted",
						sum, p.rank, ch.heldBytes)
				}
			}
		}
	}
	return nil
}

// event is something that some of the ranks do in TestSoup.
type event struct {
	comm     int // 0 to 2: everybody, its halves, the pairs of one of each half
	from, to int // ranks of the whole, for a message; both -1 for a collective
	n        int
}

// TestSoup issues drawn calls and messages on three communicators at once, all asynchronous, and
// waits for them in any order.
func TestSoup(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				events := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 60).Draw(t, "events")
				order := rapid.Uint64().Draw(t, "order of waits")
				ctx, cancel := context.WithTimeout(context.Background(), hang)
				defer cancel()
				comms, err := setting{size: soupSize, driver: g.driver()}.open(ctx)
				if err != nil {
					t.Fatal(err)
				}
				err = together(comms, func(c *Comm) error { return soup(ctx, c, events, order) })
				if err := errors.Join(err, closeAll(comms)); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

const soupSize = 4

func drawEvent(t *rapid.T) event {
	e := event{comm: rapid.IntRange(0, 2).Draw(t, "communicator"), from: -1, to: -1}
	e.n = rapid.SampledFrom([]int{0, 1, 50, 3000, 70_000, 600_000}).Draw(t, "count")
	if rapid.Bool().Draw(t, "message") {
		e.from = rapid.IntRange(0, soupSize-1).Draw(t, "from")
		e.to = (e.from + rapid.IntRange(1, soupSize-1).Draw(t, "distance")) % soupSize
		e.comm = 0
	}
	return e
}

func soup(ctx context.Context, c *Comm, events []event, order uint64) error {
	halves, err := c.Split(ctx, c.Rank()/2, 0)
	if err != nil {
		return err
	}
	pairs, err := c.Split(ctx, c.Rank()%2, -c.Rank())
	if err != nil {
		return err
	}
	comms := []*Comm{c, halves, pairs}
	var works []*Work
	var checks []func() error
	for i, e := range events {
		comm := comms[e.comm]
		switch x := int64(i + 1); {
		case e.from == c.Rank():
			works = append(works, SendAsync(ctx, comm, filled(e.n, x), e.to))
			checks = append(checks, func() error { return nil })
		case e.to == c.Rank():
			buf := make([]int64, e.n)
			works = append(works, RecvAsync(ctx, comm, buf, e.from))
			checks = append(checks, func() error { return all(buf, x) })
		case e.from < 0:
			buf := filled(e.n, x)
			works = append(works, AllReduceAsync(ctx, comm, buf, tensor.Sum))
			checks = append(checks, func() error { return all(buf, x*int64(comm.Size())) })
		}
	}
	r := rand.New(rand.NewPCG(order, uint64(c.Rank())))
	for _, i := range r.Perm(len(works)) {
		if err := errors.Join(works[i].Wait(), checks[i]()); err != nil {
			return fmt.Errorf("event %d of this rank: %w", i, err)
		}
	}
	return errors.Join(Barrier(ctx, c), halves.Close(), pairs.Close())
}
