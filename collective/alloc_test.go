package collective

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
	"github.com/tutti-ml/tutti/transport"
)

// steady is a call that is made again and again with the same buffers.
type steady struct {
	name string
	make func(c *Comm, bytes int) func(ctx context.Context) error
}

var steadies = []steady{
	{"AllReduce", func(c *Comm, n int) func(context.Context) error {
		buf := Alloc[float32](c, n/4)
		return func(ctx context.Context) error { return AllReduce(ctx, c, buf, tensor.Sum) }
	}},
	{"Broadcast", func(c *Comm, n int) func(context.Context) error {
		buf := Alloc[uint8](c, n)
		return func(ctx context.Context) error { return Broadcast(ctx, c, buf, 1) }
	}},
	{"AllGather", func(c *Comm, n int) func(context.Context) error {
		recv := Alloc[int64](c, n/8/c.Size()*c.Size())
		own := recv[len(recv)/c.Size()*c.Rank() : len(recv)/c.Size()*(c.Rank()+1)]
		return func(ctx context.Context) error { return AllGather(ctx, c, recv, own) }
	}},
	{"AllToAllV", func(c *Comm, n int) func(context.Context) error {
		counts := make([]int, c.Size())
		for r := range counts {
			counts[r] = n / c.Size()
		}
		send, recv := Alloc[int8](c, n/c.Size()*c.Size()), Alloc[int8](c, n/c.Size()*c.Size())
		return func(ctx context.Context) error { return AllToAllV(ctx, c, recv, counts, send, counts) }
	}},
	{"SendRecv", func(c *Comm, n int) func(context.Context) error {
		buf := Alloc[int32](c, n/4)
		return func(ctx context.Context) error {
			if c.Rank()%2 == 0 {
				if c.Rank()+1 == c.Size() {
					return nil
				}
				return Send(ctx, c, buf, c.Rank()+1)
			}
			return Recv(ctx, c, buf, c.Rank()-1)
		}
	}},
	{"Barrier", func(c *Comm, _ int) func(context.Context) error {
		return func(ctx context.Context) error { return Barrier(ctx, c) }
	}},
}

// A repeated call allocates nothing, on no rank: all are in this process.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED: the race detector allocates")
	}
	for _, g := range grounds {
		for _, load := range []struct{ size, bytes, runs int }{
			{2, 4 << 10, 100}, {3, 4 << 10, 100}, {2, 16 << 20, 5},
		} {
			for _, call := range steadies {
				name := fmt.Sprintf("%s/%s of %d bytes on %d ranks", g.name, call.name, load.bytes, load.size)
				t.Run(name, func(t *testing.T) {
					s := setting{size: load.size, driver: g.driver()}
					n, err := allocations(t, s, load.runs, func(c *Comm) func(context.Context) error {
						return call.make(c, load.bytes)
					})
					if err != nil || n != 0 {
						t.Errorf("%v allocations a call, %v", n, err)
					}
				})
			}
		}
	}
}

// allocations counts those of a call on all ranks, which make it in step: the least of some
// measurements, as what is kept for the next call grows for a while, and the runtime's own
// allocations are counted too.
func allocations(
	t *testing.T, s setting, runs int, f func(*Comm) func(context.Context) error,
) (n float64, err error) {
	const warm, measurements = 6, 3
	ctx := testContext(t)
	comms := ranks(t, s)
	errs := make([]error, len(comms))
	var wg sync.WaitGroup
	for r, c := range comms[1:] {
		call := f(c)
		wg.Go(func() {
			for range warm + measurements*(1+runs) { // AllocsPerRun makes one more than it counts
				if err := call(ctx); err != nil {
					errs[r+1] = err
					return
				}
			}
		})
	}
	call := f(comms[0])
	once := func() {
		if errs[0] == nil {
			errs[0] = call(ctx)
		}
	}
	for range warm {
		once()
	}
	n = math.Inf(1)
	for range measurements {
		n = min(n, testing.AllocsPerRun(runs, once))
	}
	wg.Wait()
	for _, e := range errs {
		if e != nil {
			err = e
		}
	}
	return n, err
}

// withMuchMemory runs f on ranks over each driver, unless tests are to be short.
func withMuchMemory(t *testing.T, size int, f func(context.Context, *Comm) error) {
	if testing.Short() {
		t.Skip("much memory")
	}
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			ctx := testContext(t)
			err := together(ranks(t, setting{size: size, driver: g.driver()}), func(c *Comm) error { return f(ctx, c) })
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestColdCopies makes calls whose results go past the caches, into buffers that begin anywhere.
func TestColdCopies(t *testing.T) {
	count := coldBytes()/3 + 1001 // of bytes: three ranks' make a cold result
	withMuchMemory(t, 3, func(ctx context.Context, c *Comm) error {
		part := func(rank int) []uint8 {
			b := Alloc[uint8](c, count+rank+5)[rank+5:]
			for i := range b {
				b[i] = uint8(i*7 + i>>8*13 + rank)
			}
			return b
		}
		got := Alloc[uint8](c, 3*count+3)[3:]
		if err := AllGather(ctx, c, got, part(c.rank)); err != nil {
			return err
		}
		for rank := range 3 {
			if !slices.Equal(got[rank*count:(rank+1)*count], part(rank)) {
				return fmt.Errorf("the part of rank %d is another", rank)
			}
		}
		for i := range got {
			got[i] += uint8(c.rank)
		}
		if err := AllReduce(ctx, c, got, tensor.Min); err != nil { // rank 0 has the least, but where 256 is passed
			return err
		}
		for rank := range 3 {
			for i, x := range part(rank) {
				if y := got[rank*count+i]; y != min(x, x+1, x+2) {
					return fmt.Errorf("the least of element %d of part %d is %d", i, rank, y)
				}
			}
		}
		return nil
	})
}

// TestColdSums makes an all-reduce of which each rank combines a half past the caches, from and to anywhere.
func TestColdSums(t *testing.T) {
	count := coldBytes()/4 + 1001
	withMuchMemory(t, 2, func(ctx context.Context, c *Comm) error {
		send, recv := Alloc[int32](c, count+1)[1:], Alloc[int32](c, count+3)[3:]
		for i := range send {
			send[i] = int32(i * (3 + c.rank))
		}
		if err := AllReduceInto(ctx, c, recv, send, tensor.Sum); err != nil {
			return err
		}
		for i, x := range recv {
			if x != int32(7*i) || send[i] != int32(i*(3+c.rank)) {
				return fmt.Errorf("element %d is %d, want %d; %d was sent", i, x, int32(7*i), send[i])
			}
		}
		return nil
	})
}

// copied counts how payloads are taken.
type copied struct {
	transport.Link
	peeks, reads int
}

func (l *copied) Peek() ([]byte, error)    { l.peeks++; return []byte{1, 2, 3}, nil }
func (l *copied) Read([]byte) (int, error) { l.reads++; return 2, nil }
func (*copied) Discard(int)                {}

// Only what is large, done with, and all in sight goes past the caches.
func TestWhatIsCold(t *testing.T) {
	plan := &schedule.Plan{SuccAt: []int32{0, 0, 1}} // the second operation has a successor
	for _, test := range []struct {
		bytes int
		op    int32
		shows bool
		cold  bool
	}{
		{coldBytes(), 0, true, true},
		{coldBytes() - 1, 0, true, false},
		{coldBytes(), 1, true, false},
		{coldBytes(), 0, false, false},
	} {
		l, dst := &copied{}, make([]byte, 2)
		c := &call{plan: plan}
		c.buf[schedule.Out] = make([]byte, test.bytes)
		n, err := c.read(&inLink{Link: l, shows: test.shows}, test.op, dst)
		if n != 2 || err != nil || (l.peeks > 0) != test.cold || (l.reads > 0) == test.cold || test.cold && dst[1] != 2 {
			t.Errorf("%+v: %d bytes, %v; %d peeks, %d reads", test, n, err, l.peeks, l.reads)
		}
	}
}

// Only the last sum of a large result goes past the caches.
func TestWhatIsColdOfSums(t *testing.T) {
	for _, test := range []struct {
		bytes int
		op    tensor.Op
		kind  schedule.Kind
		last  bool
		dst   schedule.Buffer
		shows bool
		cold  bool
	}{
		{coldBytes(), tensor.Sum, schedule.RecvReduce, true, schedule.Out, true, true},
		{coldBytes(), tensor.Sum, schedule.RecvReduce, true, schedule.Out, false, false},
		{coldBytes() - 1, tensor.Sum, schedule.RecvReduce, true, schedule.Out, true, false},
		{coldBytes(), tensor.Sum, schedule.RecvReduce, false, schedule.Out, true, false},
		{coldBytes(), tensor.Sum, schedule.RecvReduce, true, schedule.Scratch, true, false},
		{coldBytes(), tensor.Sum, schedule.Recv, true, schedule.Out, true, false},
		{coldBytes(), tensor.Avg, schedule.RecvReduce, true, schedule.Out, true, false}, // it is divided afterwards
		{coldBytes(), tensor.Max, schedule.RecvReduce, true, schedule.Out, true, false},
	} {
		c := &call{op: test.op}
		c.buf[schedule.Out] = make([]byte, test.bytes)
		o := &schedule.Op{Kind: test.kind, Last: test.last, Dst: schedule.Region{Buf: test.dst}}
		if got := c.coldSum(&inLink{shows: test.shows}, o); got != test.cold {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// The last cache is found where Linux describes it, and nothing goes wrong where it doesn't.
func TestLastCache(t *testing.T) {
	dir := t.TempDir()
	if n := lastCache(dir); n != 0 {
		t.Errorf("an empty directory has a cache of %d bytes", n)
	}
	for i, size := range []string{"32K\n", "307200K\n", "2048K\n", "many\n", "512\n", "-1K\n", "99999999999999999999K\n"} {
		index := filepath.Join(dir, fmt.Sprint("index", i))
		if err := os.Mkdir(index, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(index, "size"), []byte(size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := lastCache(dir); n != 300<<20 {
		t.Errorf("the last cache has %d bytes, want 300 MiB", n)
	}
}
