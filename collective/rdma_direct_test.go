//go:build ibverbs && cgo && linux

package collective

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
	"github.com/tutti-ml/tutti/transport/ibverbs"
)

func init() { programs["direct"] = directProgram }

// watched is RDMA that tells how much of what is read lies where it is read to, before it is.
type watched struct {
	transport.Driver
	read, there int
}

func (d *watched) Open(ctx context.Context, c transport.Config) (transport.Endpoint, error) {
	ep, err := d.Driver.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	return &watchedEndpoint{ep, ep.(transport.Allocator), d}, nil
}

type watchedEndpoint struct {
	transport.Endpoint
	transport.Allocator
	by *watched
}

func (e *watchedEndpoint) Dial(
	ctx context.Context, peer int, to []byte,
) (transport.Link, error) {
	l, err := e.Endpoint.Dial(ctx, peer, to)
	if err != nil {
		return nil, err
	}
	return &watchedLink{l.(transport.Expecter), e.by}, nil
}

func (e *watchedEndpoint) Accept() transport.Link {
	if l := e.Endpoint.Accept(); l != nil {
		return &watchedLink{l.(transport.Expecter), e.by}
	}
	return nil
}

type watchedLink struct {
	transport.Expecter
	by *watched
}

// Read looks at the payload where it lies: what lies at dst the device has written there.
func (l *watchedLink) Read(dst []byte) (int, error) {
	at, err := l.Peek()
	if err != nil {
		return 0, err
	}
	there := len(at) > 0 && len(dst) > 0 && &at[0] == &dst[0]
	n, err := l.Expecter.Read(dst)
	if l.by.read += n; there {
		l.by.there += n
	}
	return n, err
}

// directness is what a rank's calls of a collective have read, and how much of that was there.
type directness struct {
	Call        string
	Rank        int
	Read, There int
	Allocated   uint64 // by the call that has allocated least
}

// directProgram makes calls again and again, with large buffers of Alloc.
func directProgram(ctx context.Context, _ string) error {
	d := &watched{Driver: ibverbs.New()}
	c, err := connect(ctx, "", WithDriver(d))
	if err != nil {
		return err
	}
	const rounds, n = 10, 1 << 20
	for _, call := range steadies[:3] { // AllReduce, Broadcast, AllGather
		once, least := call.make(c, 4*n), ^uint64(0)
		d.read, d.there = 0, 0
		for range rounds {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := once(ctx); err != nil {
				return fmt.Errorf("%s: %w", call.name, err)
			}
			runtime.ReadMemStats(&after)
			least = min(least, after.Mallocs-before.Mallocs)
		}
		if err := report(directness{call.name, c.Rank(), d.read, d.there, least}); err != nil {
			return err
		}
	}
	return errors.Join(check(ctx, c), c.Close())
}

// check makes each of the calls once more, and looks at what comes of it.
func check(ctx context.Context, c *Comm) error {
	const n = 1 << 20
	a := Alloc[int32](c, n*c.Size())
	own := a[c.Rank()*n:][:n]
	for i := range own {
		own[i] = int32(i * (c.Rank() + 1))
	}
	if err := AllGather(ctx, c, a, own); err != nil {
		return err
	}
	for i, v := range a {
		if want := int32(i % n * (i/n + 1)); v != want {
			return fmt.Errorf("AllGather: element %d is %d, want %d", i, v, want)
		}
	}
	if err := AllReduce(ctx, c, a, tensor.Sum); err != nil {
		return err
	}
	for i, v := range a {
		if want := int32(i % n * (i/n + 1) * c.Size()); v != want {
			return fmt.Errorf("AllReduce: element %d is %d, want %d", i, v, want)
		}
	}
	return nil
}

// TestCollectivesGoDirect: between processes, the device writes most of what large calls receive to
// where it is to be, no copy is made of that, and nothing is allocated for it.
func TestCollectivesGoDirect(t *testing.T) {
	for _, size := range []int{2, 3} {
		all := reports[directness](t, runRanks(t, size, "ibverbs", "direct", ""))
		if len(all) != 3*size {
			t.Fatalf("%d reports of %d ranks", len(all), size)
		}
		read, there := map[string]int{}, map[string]int{}
		for _, d := range all {
			t.Logf("%d ranks, rank %d, %s: %d bytes read, %d of these in place, %d allocations",
				size, d.Rank, d.Call, d.Read, d.There, d.Allocated)
			read[d.Call] += d.Read
			there[d.Call] += d.There
			if d.Allocated != 0 {
				t.Errorf("%d ranks, rank %d, %s: %d allocations a call", size, d.Rank, d.Call, d.Allocated)
			}
		}
		for call, n := range read {
			// The first frames of a call may have left before their sender heard of the destinations.
			if n == 0 || there[call] < n/4 {
				t.Errorf("%d ranks, %s: of %d bytes %d went where they are to be", size, call, n, there[call])
			}
		}
	}
}
