package collective

import (
	"context"
	"fmt"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// reused is calls again and again with the same two buffers of Alloc, a and b, of n elements. Element
// i of rank r in round k is value(r, i, k).
type reused struct {
	ctx  context.Context
	c    *Comm
	a, b []int64
	k    int
}

func (u *reused) value(rank, i int) int64 { return int64(rank*1_000_003 + i*7 + u.k*13) }

func (u *reused) sum(i int) (s int64) {
	for r := range u.c.Size() {
		s += u.value(r, i)
	}
	return s
}

// fill writes this rank's elements.
func (u *reused) fill(buf []int64) {
	for i := range buf {
		buf[i] = u.value(u.c.Rank(), i)
	}
}

func want(buf []int64, f func(i int) int64) error {
	for i, x := range buf {
		if w := f(i); x != w {
			return fmt.Errorf("element %d is %d, want %d", i, x, w)
		}
	}
	return nil
}

// reusedCalls returns buffers to what the next call needs, make it, and check.
var reusedCalls = map[schedule.Collective]func(u *reused) error{
	schedule.AllReduce: func(u *reused) error {
		in := u.a
		if u.k%2 == 1 {
			in = u.b
		}
		u.fill(in)
		if err := AllReduceInto(u.ctx, u.c, u.b, in, tensor.Sum); err != nil {
			return err
		}
		return want(u.b, u.sum)
	},
	schedule.ReduceScatter: func(u *reused) error {
		n, me := len(u.a)/u.c.Size(), u.c.Rank()
		u.fill(u.a)
		recv := u.b[:n]
		if u.k%2 == 1 {
			recv = u.a[me*n : (me+1)*n]
		}
		if err := ReduceScatter(u.ctx, u.c, recv, u.a, tensor.Sum); err != nil {
			return err
		}
		return want(recv, func(i int) int64 { return u.sum(me*n + i) })
	},
	schedule.AllGather: func(u *reused) error {
		n, me := len(u.a)/u.c.Size(), u.c.Rank()
		send := u.b[:n]
		if u.k%2 == 1 {
			send = u.a[me*n : (me+1)*n]
		}
		u.fill(send)
		if err := AllGather(u.ctx, u.c, u.a, send); err != nil {
			return err
		}
		return want(u.a, func(i int) int64 { return u.value(i/n, i%n) })
	},
	schedule.Broadcast: func(u *reused) error {
		root := u.k % u.c.Size()
		u.fill(u.a)
		if err := Broadcast(u.ctx, u.c, u.a, root); err != nil {
			return err
		}
		return want(u.a, func(i int) int64 { return u.value(root, i) })
	},
	schedule.Reduce: func(u *reused) error {
		root := u.k % u.c.Size()
		u.fill(u.a)
		if err := Reduce(u.ctx, u.c, u.b, u.a, tensor.Sum, root); err != nil || u.c.Rank() != root {
			return err
		}
		return want(u.b, u.sum)
	},
	schedule.AllToAll: func(u *reused) error {
		n, me := len(u.a)/u.c.Size(), u.c.Rank()
		u.fill(u.a)
		if err := AllToAll(u.ctx, u.c, u.b, u.a); err != nil {
			return err
		}
		return want(u.b, func(i int) int64 { return u.value(i/n, me*n+i%n) })
	},
}

// TestBuffersOfAllocAgainAndAgain: from the second call on, ranks that share memory read each other's
// buffers. Every algorithm changes buffers that others may still be reading, unless it waits.
func TestBuffersOfAllocAgainAndAgain(t *testing.T) {
	const rounds = 6
	for _, g := range grounds {
		sizes := []int{2, 3, 4}
		if g.name != "shm" { // the others copy all
			sizes = sizes[1:2]
		}
		for _, size := range sizes {
			for coll, call := range reusedCalls {
				for _, alg := range schedule.Algorithms(coll) {
					if alg.Applies != nil && alg.Applies(schedule.Args{Size: size}) != nil {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s %s on %d ranks", g.name, coll, alg.Name, size), func(t *testing.T) {
						comms := ranks(t, setting{size: size, driver: g.driver(), opts: []Option{
							WithAlgorithms(fmt.Sprintf("%s=%s", coll, alg.Name)), WithChunkBytes(64 << 10),
						}})
						n := (128 << 10) / size * size
						err := together(comms, func(c *Comm) error {
							u := &reused{ctx: testContext(t), c: c, a: Alloc[int64](c, n), b: Alloc[int64](c, n)}
							defer Free(c, u.a)
							for u.k = range rounds {
								if err := call(u); err != nil {
									return fmt.Errorf("round %d: %w", u.k, err)
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
		}
	}
}
