package main

import (
	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// poison fills every byte of a result before a call. As an element it is no whole number in the
// floating-point types and, in the wide integers, none that a small call expects.
const poison = 0xA5

func (x *typed[T]) fill(seed uint64) {
	for _, buf := range [][]T{x.recv, x.send} {
		bytes := tensor.Bytes(buf)
		for i := range bytes {
			bytes[i] = poison
		}
	}
	if x.op.rooted() && !x.op.reduces() && x.op.collective != schedule.Gather && x.rank != x.root {
		return // it has no input
	}
	v := newValues(x.sent(), x.redop, x.size, seed)
	for i := range x.send {
		x.send[i] = element[T](v.at(x.rank, i))
	}
}

func (x *typed[T]) wrong(seed uint64) int {
	v := newValues(x.sent(), x.redop, x.size, seed)
	want := x.expected(v)
	if want == nil {
		return 0
	}
	wrong := 0
	for i, got := range x.recv {
		if got != element[T](want(i)) {
			wrong++
		}
	}
	return wrong
}

// expected tells which number belongs at an index of this rank's result, by the definition of the
// collective; nil when this rank gets no result.
func (x *typed[T]) expected(v *values) func(i int) int64 {
	own := x.rank * x.count
	switch x.op.collective {
	case schedule.AllReduce:
		return v.combined
	case schedule.ReduceScatter:
		return func(i int) int64 { return v.combined(own + i) }
	case schedule.Broadcast:
		return func(i int) int64 { return v.at(x.root, i) }
	case schedule.Scatter:
		return func(i int) int64 { return v.at(x.root, own+i) }
	case schedule.AllGather:
		return func(i int) int64 { return v.at(i/x.count, i%x.count) }
	case schedule.AllToAll:
		return func(i int) int64 { return v.at(i/x.count, own+i%x.count) }
	case schedule.SendRecv:
		return func(i int) int64 { return v.at(x.previous(), i) }
	case schedule.Reduce:
		if x.rank == x.root {
			return v.combined
		}
	case schedule.Gather:
		if x.rank == x.root {
			return func(i int) int64 { return v.at(i/x.count, i%x.count) }
		}
	}
	return nil
}
