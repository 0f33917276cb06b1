package main

import (
	"testing"

	"github.com/tutti-ml/tutti/tensor"
)

// TestFactors writes the table of factors out, for 2 and 8 ranks.
func TestFactors(t *testing.T) {
	want := map[string][2]float64{
		"allreduce": {1, 1.75}, "broadcast": {1, 1}, "reduce": {1, 1}, "scatter": {0.5, 0.875},
		"gather": {0.5, 0.875}, "allgather": {0.5, 0.875}, "reducescatter": {0.5, 0.875},
		"alltoall": {0.5, 0.875}, "sendrecv": {1, 1}, "barrier": {1, 1},
	}
	if len(want) != len(operations) {
		t.Fatalf("%d operations, %d factors", len(operations), len(want))
	}
	for _, op := range operations {
		if got := [2]float64{op.factor(2), op.factor(8)}; got != want[op.name] {
			t.Errorf("%s: factors %v, want %v", op.name, got, want[op.name])
		}
	}
}

// TestSizeConvention: the size is that of the larger buffer, in whole blocks.
func TestSizeConvention(t *testing.T) {
	for _, c := range []struct {
		op                                 string
		typ                                tensor.Type
		ranks, asked                       int
		count, bytes, sendCount, recvCount int
	}{
		{"allreduce", tensor.F32, 3, 1000, 250, 1000, 250, 250},
		{"allreduce", tensor.F64, 3, 4, 1, 8, 1, 1},
		{"broadcast", tensor.F16, 3, 7, 3, 6, 3, 3},
		{"allgather", tensor.F32, 3, 1000, 83, 996, 83, 249},
		{"gather", tensor.U8, 4, 10, 2, 8, 2, 8},
		{"scatter", tensor.U8, 4, 10, 2, 8, 8, 2},
		{"reducescatter", tensor.I64, 2, 4, 1, 16, 2, 1},
		{"alltoall", tensor.F32, 2, 64, 8, 64, 16, 16},
		{"sendrecv", tensor.F32, 2, 64, 16, 64, 16, 16},
		{"alltoall", tensor.F32, 2, 0, 0, 0, 0, 0},
		{"barrier", tensor.U8, 2, 64, 0, 0, 0, 0},
	} {
		op, err := parseOperation(c.op)
		if err != nil {
			t.Fatal(err)
		}
		tr := trial{op: op, typ: c.typ, size: c.ranks}
		tr.count = op.countFor(c.asked, c.typ, c.ranks)
		send, recv := tr.lengths()
		if tr.count != c.count || tr.bytes() != c.bytes || send != c.sendCount || recv != c.recvCount {
			t.Errorf("%s of %d bytes of %v on %d ranks: count %d, bytes %d, send %d, recv %d; want %+v",
				c.op, c.asked, c.typ, c.ranks, tr.count, tr.bytes(), send, recv, c)
		}
	}
}
