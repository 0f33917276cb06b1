package collective

import (
	"fmt"
	"unsafe"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// request is one call as the caller made it. It stays on the caller's stack, so that a call allocates
// nothing.
type request struct {
	coll    schedule.Collective
	typ     tensor.Type
	op      tensor.Op                // zero when the collective does not reduce
	root    int                      // the peer's rank for SendRecv
	buf     [schedule.Buffers][]byte // the caller's; where a plan has scratch memory, a call puts it here
	inPlace bool
	sending bool // SendRecv: this rank is the sender
	count   int  // elements: of the vector, or of each rank's block
	// The v-variants: elements of each rank's block, nil when all have count.
	counts                 []int
	sendCounts, recvCounts []int
	err                    error // the first thing wrong with the arguments
	brief                  *brief
}

// fail notes what is wrong with an argument; the first wins.
func (r *request) fail(remedy, format string, args ...any) {
	if r.err == nil {
		r.err = &ArgumentError{
			Collective: r.coll, Reason: fmt.Sprintf(format, args...), Remedy: remedy,
		}
	}
}

// place sets the buffers and finds out whether own, the part of the larger buffer that this
// rank's smaller one may lie over, is that smaller one. Any other overlap is refused.
func place[T tensor.Element](r *request, in, out, small, own []T) {
	r.typ = tensor.TypeOf[T]()
	r.buf[schedule.In], r.buf[schedule.Out] = tensor.Bytes(in), tensor.Bytes(out)
	if len(in) == 0 || len(out) == 0 {
		r.inPlace = len(small) > 0 && len(own) > 0 && &small[0] == &own[0]
		return
	}
	if len(small) == len(own) && len(small) > 0 && &small[0] == &own[0] {
		r.inPlace = true
		return
	}
	if overlap(r.buf[schedule.In], r.buf[schedule.Out]) {
		r.fail("pass separate buffers, or lay one exactly over its own part of the other",
			"the buffers overlap in part")
	}
}

// overlap reports whether two byte slices share memory.
func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	a0, b0 := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return a0 < b0+uintptr(len(b)) && b0 < a0+uintptr(len(a))
}

// wantLen checks the length of a buffer.
func (r *request) wantLen(name string, got, want int) {
	if got != want {
		r.fail("", "%s has %d elements, want %d", name, got, want)
	}
}

// block returns rank's part of a buffer cut by counts, or evenly by count; nil when the buffer
// is too short for it.
func block[T any](buf []T, rank, count int, counts []int) []T {
	lo, n := rank*count, count
	if counts != nil {
		if rank >= len(counts) {
			return nil
		}
		lo, n = 0, counts[rank]
		for _, c := range counts[:rank] {
			lo += c
		}
	}
	if lo < 0 || n < 0 || lo+n > len(buf) {
		return nil
	}
	return buf[lo : lo+n]
}

// total adds up counts, refusing what is no count.
func (r *request) total(name string, counts []int, size int) int {
	if len(counts) != size {
		r.fail("give one count per rank", "%s has %d entries for %d ranks", name, len(counts), size)
		return 0
	}
	sum := 0
	for i, c := range counts {
		if c < 0 || sum > int(^uint(0)>>1)-c {
			r.fail("", "%s[%d] is %d", name, i, c)
			return 0
		}
		sum += c
	}
	return sum
}

// check is what every call must satisfy, whatever its collective.
func (r *request) check(rank, size int) error {
	if r.coll.Rooted() && (r.root < 0 || r.root >= size) {
		r.fail("", "root %d of %d ranks", r.root, size)
	}
	if r.coll == schedule.SendRecv {
		switch {
		case r.root < 0 || r.root >= size:
			r.fail("", "peer %d of %d ranks", r.root, size)
		case r.root == rank:
			r.fail("copy the buffer", "a message to this rank itself")
		}
	}
	if r.coll.Reduces() && r.err == nil {
		if err := r.op.Supports(r.typ); err != nil {
			r.err = &ArgumentError{Collective: r.coll, Reason: err.Error(), Err: err}
		}
	}
	return r.err
}
