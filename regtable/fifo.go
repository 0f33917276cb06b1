package regtable

// fifo is a queue of messages in a ring that grows by doubling. Its memory is used again; what has
// left it is not held.
type fifo[M any] struct {
	ring []M // length is a power of two, or 0
	head int
	n    int
}

// keptRing is the largest ring, in messages, that an empty fifo holds on to.
const keptRing = 1024

func (f *fifo[M]) at(i int) *M { return &f.ring[(f.head+i)&(len(f.ring)-1)] }

func (f *fifo[M]) push(message M) {
	if f.n == len(f.ring) {
		ring := make([]M, max(4, 2*f.n))
		n := copy(ring, f.ring[f.head:])
		copy(ring[n:], f.ring[:f.head])
		f.ring, f.head = ring, 0
	}
	f.n++
	*f.at(f.n - 1) = message
}

// discard removes the first k messages.
func (f *fifo[M]) discard(k int) {
	var zero M
	for i := range k {
		*f.at(i) = zero
	}
	if f.n -= k; f.n > 0 {
		f.head = (f.head + k) & (len(f.ring) - 1)
		return
	}
	f.head = 0
	if len(f.ring) > keptRing {
		f.ring = nil
	}
}

// take appends the first k messages to out and removes them.
func (f *fifo[M]) take(k int, out []M) []M {
	for i := range k {
		out = append(out, *f.at(i))
	}
	f.discard(k)
	return out
}

// filter removes those of the first k messages for which remove, asked from the last to the first,
// is true. The others keep their order.
func (f *fifo[M]) filter(k int, remove func(message M) bool) (removed int) {
	to := k
	for from := k - 1; from >= 0; from-- {
		message := *f.at(from)
		if remove(message) {
			continue
		}
		to--
		*f.at(to) = message
	}
	f.discard(to)
	return to
}
