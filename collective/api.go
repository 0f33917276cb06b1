package collective

import (
	"context"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// AllReduce combines buf of all ranks element by element and leaves the same result, bit for bit,
// in buf of every rank. All ranks pass the same length and op.
func AllReduce[T tensor.Element](ctx context.Context, c *Comm, buf []T, op tensor.Op) error {
	var r request
	allReduce(&r, buf, buf, op)
	return c.run(ctx, &r)
}

// AllReduceInto is AllReduce from send into recv, which have the same length and do not overlap,
// or are the same slice.
func AllReduceInto[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, op tensor.Op) error {
	var r request
	allReduce(&r, recv, send, op)
	return c.run(ctx, &r)
}

// What a call wants is noted in the caller's request: copying one takes a tenth of a small call.

func allReduce[T tensor.Element](r *request, recv, send []T, op tensor.Op) {
	r.coll, r.op, r.count = schedule.AllReduce, op, len(send)
	r.wantLen("recv", len(recv), len(send))
	place(r, send, recv, send, recv)
}

// Broadcast copies the root's buf to buf of every rank. All ranks pass the same length and root.
func Broadcast[T tensor.Element](ctx context.Context, c *Comm, buf []T, root int) error {
	var r request
	broadcast(&r, c, buf, buf, root)
	return c.run(ctx, &r)
}

// BroadcastInto copies the root's send to recv of every rank, the root's own included. Other
// ranks' send is not looked at.
func BroadcastInto[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, root int) error {
	var r request
	broadcast(&r, c, recv, send, root)
	return c.run(ctx, &r)
}

func broadcast[T tensor.Element](r *request, c *Comm, recv, send []T, root int) {
	r.coll, r.root, r.count = schedule.Broadcast, root, len(recv)
	if c.rank != root {
		send = nil
	} else {
		r.wantLen("send", len(send), len(recv))
	}
	place(r, send, recv, send, recv)
	// A rank without input runs the program of the call in place: there is nothing to keep.
	r.inPlace = r.inPlace || c.rank != root
}

// Reduce combines send of all ranks element by element into the root's recv, which is send itself
// or does not overlap it. Other ranks' recv is not looked at and may be nil. A rank that is not
// the root may return before the root has the result.
func Reduce[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, op tensor.Op, root int) error {
	var r request
	reduce(&r, c, recv, send, op, root)
	return c.run(ctx, &r)
}

func reduce[T tensor.Element](r *request, c *Comm, recv, send []T, op tensor.Op, root int) {
	r.coll, r.op, r.root, r.count = schedule.Reduce, op, root, len(send)
	if c.rank != root {
		recv = nil
	} else {
		r.wantLen("recv", len(recv), len(send))
	}
	place(r, send, recv, send, recv)
}

// Scatter cuts the root's send into Size equal blocks and puts block r into recv of rank r. Other
// ranks' send is not looked at. The root's recv may be its own block of send.
func Scatter[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, root int) error {
	var r request
	scatter(&r, c, recv, send, nil, root)
	return c.run(ctx, &r)
}

// ScatterV is Scatter with blocks of counts[r] elements; all ranks pass the same counts.
func ScatterV[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, counts []int, root int) error {
	var r request
	scatter(&r, c, recv, send, counts, root)
	return c.run(ctx, &r)
}

func scatter[T tensor.Element](r *request, c *Comm, recv, send []T, counts []int, root int) {
	r.coll, r.root, r.count, r.counts = schedule.Scatter, root, len(recv), counts
	all := r.blocks(c, "recv", len(recv))
	if c.rank != root {
		send = nil
	} else {
		r.wantLen("send", len(send), all)
	}
	place(r, send, recv, recv, block(send, c.rank, r.count, counts))
}

// Gather puts send of rank r into block r of the root's recv, Size blocks of equal length. Other
// ranks' recv is not looked at. The root's send may be its own block of recv.
func Gather[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, root int) error {
	var r request
	gather(&r, c, recv, send, nil, root)
	return c.run(ctx, &r)
}

// GatherV is Gather with blocks of counts[r] elements; all ranks pass the same counts.
func GatherV[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, counts []int, root int) error {
	var r request
	gather(&r, c, recv, send, counts, root)
	return c.run(ctx, &r)
}

func gather[T tensor.Element](r *request, c *Comm, recv, send []T, counts []int, root int) {
	r.coll, r.root, r.count, r.counts = schedule.Gather, root, len(send), counts
	all := r.blocks(c, "send", len(send))
	if c.rank != root {
		recv = nil
	} else {
		r.wantLen("recv", len(recv), all)
	}
	place(r, send, recv, send, block(recv, c.rank, r.count, counts))
}

// AllGather puts send of rank r into block r of every rank's recv, Size blocks of equal length.
// send may be this rank's own block of recv.
func AllGather[T tensor.Element](ctx context.Context, c *Comm, recv, send []T) error {
	var r request
	allGather(&r, c, recv, send, nil)
	return c.run(ctx, &r)
}

// AllGatherV is AllGather with blocks of counts[r] elements; all ranks pass the same counts.
func AllGatherV[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, counts []int) error {
	var r request
	allGather(&r, c, recv, send, counts)
	return c.run(ctx, &r)
}

func allGather[T tensor.Element](r *request, c *Comm, recv, send []T, counts []int) {
	r.coll, r.count, r.counts = schedule.AllGather, len(send), counts
	r.wantLen("recv", len(recv), r.blocks(c, "send", len(send)))
	place(r, send, recv, send, block(recv, c.rank, r.count, counts))
}

// ReduceScatter combines send of all ranks element by element and puts block r of the result, one
// of Size equal ones, into recv of rank r. recv may be this rank's own block of send; the rest of
// send is not changed.
func ReduceScatter[T tensor.Element](ctx context.Context, c *Comm, recv, send []T, op tensor.Op) error {
	var r request
	reduceScatter(&r, c, recv, send, nil, op)
	return c.run(ctx, &r)
}

// ReduceScatterV is ReduceScatter with blocks of counts[r] elements; all ranks pass the same
// counts.
func ReduceScatterV[T tensor.Element](
	ctx context.Context, c *Comm, recv, send []T, counts []int, op tensor.Op,
) error {
	var r request
	reduceScatter(&r, c, recv, send, counts, op)
	return c.run(ctx, &r)
}

func reduceScatter[T tensor.Element](r *request, c *Comm, recv, send []T, counts []int, op tensor.Op) {
	r.coll, r.op, r.count, r.counts = schedule.ReduceScatter, op, len(recv), counts
	r.wantLen("send", len(send), r.blocks(c, "recv", len(recv)))
	place(r, send, recv, recv, block(send, c.rank, r.count, counts))
}

// AllToAll puts block j of rank i's send into block i of rank j's recv, Size blocks of equal
// length in both. recv may be send.
func AllToAll[T tensor.Element](ctx context.Context, c *Comm, recv, send []T) error {
	var r request
	allToAll(&r, c, recv, send)
	return c.run(ctx, &r)
}

func allToAll[T tensor.Element](r *request, c *Comm, recv, send []T) {
	r.coll, r.count = schedule.AllToAll, len(send)/c.Size()
	r.wantLen("send", len(send), r.count*c.Size())
	r.wantLen("recv", len(recv), len(send))
	place(r, send, recv, send, recv)
}

// AllToAllV is AllToAll with blocks of sendCounts[j] elements for rank j and recvCounts[i] from
// rank i: rank i's sendCounts[j] equals rank j's recvCounts[i]. recv and send do not overlap.
func AllToAllV[T tensor.Element](
	ctx context.Context, c *Comm, recv []T, recvCounts []int, send []T, sendCounts []int,
) error {
	var r request
	allToAllV(&r, c, recv, recvCounts, send, sendCounts)
	return c.run(ctx, &r)
}

func allToAllV[T tensor.Element](
	r *request, c *Comm, recv []T, recvCounts []int, send []T, sendCounts []int,
) {
	r.coll, r.sendCounts, r.recvCounts = schedule.AllToAll, sendCounts, recvCounts
	r.wantLen("send", len(send), r.total("sendCounts", sendCounts, c.Size()))
	r.wantLen("recv", len(recv), r.total("recvCounts", recvCounts, c.Size()))
	place(r, send, recv, send[:0], nil)
}

// Barrier returns when all ranks have called it.
func Barrier(ctx context.Context, c *Comm) error {
	r := request{coll: schedule.Barrier, typ: tensor.U8}
	return c.run(ctx, &r)
}

// Send sends buf to rank dst, which must call Recv with the same length and element type. Messages
// between two ranks arrive in order; they are independent of collectives. Send returns when buf
// may be changed, which may be before, and may be not before, dst has called Recv.
func Send[T tensor.Element](ctx context.Context, c *Comm, buf []T, dst int) error {
	var r request
	send(&r, buf, dst)
	return c.run(ctx, &r)
}

func send[T tensor.Element](r *request, buf []T, dst int) {
	r.coll, r.typ, r.root, r.count = schedule.SendRecv, tensor.TypeOf[T](), dst, len(buf)
	r.buf[schedule.In], r.sending = tensor.Bytes(buf), true
}

// Recv receives into buf what rank src has sent with Send.
func Recv[T tensor.Element](ctx context.Context, c *Comm, buf []T, src int) error {
	var r request
	recv(&r, buf, src)
	return c.run(ctx, &r)
}

func recv[T tensor.Element](r *request, buf []T, src int) {
	r.coll, r.typ, r.root, r.count = schedule.SendRecv, tensor.TypeOf[T](), src, len(buf)
	r.buf[schedule.Out] = tensor.Bytes(buf)
}

// blocks checks the counts of a v-variant, if it is one, against the length of this rank's own
// block, and returns the elements of all blocks.
func (r *request) blocks(c *Comm, name string, own int) int {
	if r.counts == nil {
		return own * c.Size()
	}
	all := r.total("counts", r.counts, c.Size())
	if r.err == nil {
		r.wantLen(name, own, r.counts[c.rank])
	}
	r.count = all // the same on all ranks, as what stands in the fingerprint must be
	return all
}
