package collective

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// session is a rank at work on variants.
type session struct {
	ctx     context.Context
	c       *Comm
	special bool // buffers are of Alloc
}

// guarded is a buffer with elements on both sides that nobody may touch.
type guarded[T tensor.Element] struct {
	name   string
	memory []T
	buf    []T
	mark   T
	before []T // what buf held
}

const guard = 9

func newGuarded[T tensor.Element](name string, n, skew int, mark T) *guarded[T] {
	return guardIn(name, make([]T, n+skew+2*guard), n, skew, mark)
}

// newGuarded makes a buffer for a session.
func (b *bench[T]) newGuarded(name string, n, skew int) *guarded[T] {
	if !b.special {
		return newGuarded(name, n, skew, b.mark)
	}
	return guardIn(name, Alloc[T](b.c, n+skew+2*guard), n, skew, b.mark)
}

// guardIn makes a buffer in memory that has room for the guards.
func guardIn[T tensor.Element](name string, memory []T, n, skew int, mark T) *guarded[T] {
	g := &guarded[T]{name: name, memory: memory, mark: mark}
	for i := range g.memory {
		g.memory[i] = mark
	}
	lo := guard + skew
	g.buf = g.memory[lo : lo+n : lo+n]
	return g
}

// fill sets the buffer's elements and remembers them.
func (g *guarded[T]) fill(f func(i int) T) {
	for i := range g.buf {
		g.buf[i] = f(i)
	}
	g.before = append(g.before, g.buf...)
}

// check compares the buffer with what it should hold, and the guards.
func (g *guarded[T]) check(want func(i int) T) error {
	for i, x := range g.buf {
		if w := want(i); x != w {
			return fmt.Errorf("%s[%d] is %v, want %v", g.name, i, x, w)
		}
	}
	lo := len(g.memory) - guard - len(g.buf)
	for i, x := range g.memory {
		if (i < lo || i >= lo+len(g.buf)) && x != g.mark {
			return fmt.Errorf("%s: element %d, outside of it, is %v", g.name, i-lo, x)
		}
	}
	return nil
}

// unchanged checks that the buffer holds what it was filled with.
func (g *guarded[T]) unchanged() error {
	return g.check(func(i int) T { return g.before[i] })
}

// runVariant makes the call on one rank and checks all memory. Elements compare by value: no input
// and no result is NaN or a zero with a sign.
func runVariant[T tensor.Element](s *session, v variant, op tensor.Op, convert func(int) T) error {
	in := inputsOf(v)
	b := &bench[T]{
		session: s, v: v, op: op, in: in, me: s.c.Rank(), counts: v.counts(), mark: convert(77),
		convert: convert,
	}
	b.offsets = offsets(b.counts)
	b.total = b.offsets[v.size]
	run := map[schedule.Collective]func() error{
		schedule.AllReduce: b.allReduce, schedule.Broadcast: b.broadcast, schedule.Reduce: b.reduce,
		schedule.Scatter: b.scatter, schedule.Gather: b.gather, schedule.AllGather: b.allGather,
		schedule.ReduceScatter: b.reduceScatter, schedule.AllToAll: b.allToAll,
		schedule.Barrier: func() error { return Barrier(s.ctx, s.c) },
	}[v.coll]
	return run()
}

// bench is one rank's part of a variant.
type bench[T tensor.Element] struct {
	*session
	v       variant
	op      tensor.Op
	in      *inputs
	me      int
	counts  []int
	offsets []int
	total   int
	mark    T
	convert func(int) T
}

// row is a rank's input, from element from on.
func (b *bench[T]) row(rank, from int) func(i int) T {
	return func(i int) T { return b.convert(b.in.at(rank, from+i)) }
}

// sum is the reduction of all ranks' inputs, from element from on.
func (b *bench[T]) sum(from int) func(i int) T {
	return func(i int) T { return b.convert(b.in.want[(from+i)%period]) }
}

// blocks is the concatenation of each rank's input.
func (b *bench[T]) blocks(i int) T {
	r := 0
	for i >= b.offsets[r+1] {
		r++
	}
	return b.convert(b.in.at(r, i-b.offsets[r]))
}

func (b *bench[T]) input(n int) *guarded[T] {
	g := b.newGuarded("send", n, b.v.skew)
	g.fill(b.row(b.me, 0))
	return g
}

func (b *bench[T]) output(n int) *guarded[T] {
	g := b.newGuarded("recv", n, (b.v.skew*3)%8)
	g.fill(func(int) T { return b.mark })
	return g
}

func (b *bench[T]) allReduce() error {
	send := b.input(b.v.n)
	if b.v.inPlace(b.me) {
		if err := AllReduce(b.ctx, b.c, send.buf, b.op); err != nil {
			return err
		}
		return send.check(b.sum(0))
	}
	recv := b.output(b.v.n)
	if err := AllReduceInto(b.ctx, b.c, recv.buf, send.buf, b.op); err != nil {
		return err
	}
	return errors.Join(recv.check(b.sum(0)), send.unchanged())
}

func (b *bench[T]) broadcast() error {
	send, recv := b.input(b.v.n), b.output(b.v.n)
	want := b.row(b.v.root, 0)
	switch {
	case b.v.inPlace(b.me) && b.me == b.v.root:
		if err := Broadcast(b.ctx, b.c, send.buf, b.v.root); err != nil {
			return err
		}
		return send.check(want)
	case b.v.inPlace(b.me):
		if err := Broadcast(b.ctx, b.c, recv.buf, b.v.root); err != nil {
			return err
		}
	default:
		if err := BroadcastInto(b.ctx, b.c, recv.buf, send.buf, b.v.root); err != nil {
			return err
		}
	}
	return errors.Join(recv.check(want), send.unchanged())
}

func (b *bench[T]) reduce() error {
	send := b.input(b.v.n)
	if b.me != b.v.root {
		ignored := b.output(b.v.skew) // of any length
		if err := Reduce(b.ctx, b.c, ignored.buf, send.buf, b.op, b.v.root); err != nil {
			return err
		}
		return errors.Join(send.unchanged(), ignored.unchanged())
	}
	if b.v.inPlace(b.me) {
		if err := Reduce(b.ctx, b.c, send.buf, send.buf, b.op, b.v.root); err != nil {
			return err
		}
		return send.check(b.sum(0))
	}
	recv := b.output(b.v.n)
	if err := Reduce(b.ctx, b.c, recv.buf, send.buf, b.op, b.v.root); err != nil {
		return err
	}
	return errors.Join(recv.check(b.sum(0)), send.unchanged())
}

func (b *bench[T]) scatter() error {
	recv := b.output(b.counts[b.me])
	send := b.output(b.v.skew) // of any length
	if b.me == b.v.root {
		send = b.input(b.total)
		if b.v.inPlace(b.me) {
			recv = &guarded[T]{name: "recv", buf: send.buf[b.offsets[b.me]:b.offsets[b.me+1]]}
			recv.memory = make([]T, guard+len(recv.buf)+guard)
		}
	}
	var err error
	if b.v.shape == even {
		err = Scatter(b.ctx, b.c, recv.buf, send.buf, b.v.root)
	} else {
		err = ScatterV(b.ctx, b.c, recv.buf, send.buf, b.counts, b.v.root)
	}
	if err != nil {
		return err
	}
	return errors.Join(recv.check(b.row(b.v.root, b.offsets[b.me])), send.unchanged())
}

func (b *bench[T]) gather() error {
	send := b.input(b.counts[b.me])
	recv := b.output(b.v.skew) // of any length
	if b.me == b.v.root {
		recv = b.output(b.total)
		if b.v.inPlace(b.me) {
			send = b.ownBlock(recv)
		}
	}
	var err error
	if b.v.shape == even {
		err = Gather(b.ctx, b.c, recv.buf, send.buf, b.v.root)
	} else {
		err = GatherV(b.ctx, b.c, recv.buf, send.buf, b.counts, b.v.root)
	}
	if err != nil {
		return err
	}
	if b.me != b.v.root {
		return errors.Join(send.unchanged(), recv.unchanged())
	}
	return errors.Join(recv.check(b.blocks), send.unchanged())
}

// ownBlock puts this rank's input where its block of recv is.
func (b *bench[T]) ownBlock(recv *guarded[T]) *guarded[T] {
	send := &guarded[T]{name: "send", buf: recv.buf[b.offsets[b.me]:b.offsets[b.me+1]]}
	send.memory = make([]T, guard+len(send.buf)+guard)
	send.fill(b.row(b.me, 0))
	return send
}

func (b *bench[T]) allGather() error {
	recv := b.output(b.total)
	send := b.input(b.counts[b.me])
	if b.v.inPlace(b.me) {
		send = b.ownBlock(recv)
	}
	var err error
	if b.v.shape == even {
		err = AllGather(b.ctx, b.c, recv.buf, send.buf)
	} else {
		err = AllGatherV(b.ctx, b.c, recv.buf, send.buf, b.counts)
	}
	if err != nil {
		return err
	}
	return errors.Join(recv.check(b.blocks), send.unchanged())
}

func (b *bench[T]) reduceScatter() error {
	send := b.input(b.total)
	lo, hi := b.offsets[b.me], b.offsets[b.me+1]
	recv := b.output(hi - lo)
	call := func(recv []T) error {
		if b.v.shape == even {
			return ReduceScatter(b.ctx, b.c, recv, send.buf, b.op)
		}
		return ReduceScatterV(b.ctx, b.c, recv, send.buf, b.counts, b.op)
	}
	if !b.v.inPlace(b.me) {
		if err := call(recv.buf); err != nil {
			return err
		}
		return errors.Join(recv.check(b.sum(lo)), send.unchanged())
	}
	if err := call(send.buf[lo:hi]); err != nil {
		return err
	}
	return send.check(func(i int) T {
		if i >= lo && i < hi {
			return b.sum(0)(i)
		}
		return send.before[i]
	})
}

func (b *bench[T]) allToAll() error {
	sends, recvs := make([]int, b.v.size), make([]int, b.v.size)
	for r := range b.v.size {
		sends[r], recvs[r] = b.v.cell(b.me, r), b.v.cell(r, b.me)
	}
	at := offsets(recvs)
	starts := make([]int, b.v.size) // of this rank's block in the others' send
	for from := range starts {
		for r := range b.me {
			starts[from] += b.v.cell(from, r)
		}
	}
	want := func(i int) T {
		from := 0
		for i >= at[from+1] {
			from++
		}
		return b.convert(b.in.at(from, starts[from]+i-at[from]))
	}
	send := b.input(offsets(sends)[b.v.size])
	if b.v.inPlace(b.me) && b.v.shape == even {
		if err := AllToAll(b.ctx, b.c, send.buf, send.buf); err != nil {
			return err
		}
		return send.check(want)
	}
	recv := b.output(at[b.v.size])
	var err error
	if b.v.shape == even {
		err = AllToAll(b.ctx, b.c, recv.buf, send.buf)
	} else {
		err = AllToAllV(b.ctx, b.c, recv.buf, recvs, send.buf, sends)
	}
	if err != nil {
		return err
	}
	return errors.Join(recv.check(want), send.unchanged())
}

// The checks themselves have to find what they are for.
func TestGuardedFindsChanges(t *testing.T) {
	number := func(i int) int32 { return int32(i) }
	for name, damage := range map[string]func(*guarded[int32]){
		"element":        func(g *guarded[int32]) { g.buf[3]++ },
		"element before": func(g *guarded[int32]) { g.memory[guard+1]++ },
		"element behind": func(g *guarded[int32]) { g.memory[len(g.memory)-guard]++ },
	} {
		g := newGuarded[int32]("b", 10, 2, 77)
		g.fill(number)
		if err := g.unchanged(); err != nil {
			t.Errorf("before %s: %v", name, err)
		}
		damage(g)
		if g.unchanged() == nil {
			t.Errorf("%s: a change was not found", name)
		}
	}
}
