package schedule

import (
	"fmt"
	"math/bits"
)

// term names a symbolic value: what has been combined, in which order. Equal values have equal
// names. Term 0 is undefined memory, term 1+r the contribution of rank r alone.
type term int32

const undefined term = 0

// rounding stands in a term's operands for a rounding of the other one.
const rounding term = -1

// terms makes and remembers every value of a proof.
type terms struct {
	size, words int
	kids        [][2]term // operands, in order; {t, undefined} of a completed t, {t, rounding} of a rounded
	sets        []uint64  // words bits of ranks for each term
	pairs       map[[2]term]term
}

func newTerms(size int) *terms {
	t := &terms{size: size, words: (size + 63) / 64, pairs: map[[2]term]term{}}
	t.add([2]term{})
	for r := range size {
		t.set(t.add([2]term{}))[r/64] = 1 << (r % 64)
	}
	return t
}

func (t *terms) add(kids [2]term) term {
	t.kids = append(t.kids, kids)
	for range t.words {
		t.sets = append(t.sets, 0)
	}
	return term(len(t.kids) - 1)
}

func (t *terms) set(x term) []uint64 {
	return t.sets[int(x)*t.words : (int(x)+1)*t.words]
}

// single returns the contribution of a rank.
func (t *terms) single(rank int) term { return term(1 + rank) }

// completed reports whether x has been through a reduction with Last.
func (t *terms) completed(x term) bool {
	if t.kids[x][1] == rounding {
		x = t.kids[x][0]
	}
	return t.kids[x][0] != undefined && t.kids[x][1] == undefined
}

// whole reports whether x holds every rank's contribution.
func (t *terms) whole(x term) bool {
	n := 0
	for _, w := range t.set(x) {
		n += bits.OnesCount64(w)
	}
	return n == t.size
}

// combine returns x op y, or what forbids it.
func (t *terms) combine(x, y term) (term, string) {
	if x == undefined || y == undefined {
		return undefined, "combines undefined memory"
	}
	if z, ok := t.pairs[[2]term{x, y}]; ok {
		return z, ""
	}
	if t.completed(x) || t.completed(y) {
		return undefined, "combines a result that is complete"
	}
	for w, bitsOfX := range t.set(x) {
		if both := bitsOfX & t.set(y)[w]; both != 0 {
			return undefined, fmt.Sprintf("counts rank %d twice: %s and %s",
				w*64+bits.TrailingZeros64(both), t.text(x), t.text(y))
		}
	}
	z := t.add([2]term{x, y})
	for w := range t.words {
		t.set(z)[w] = t.set(x)[w] | t.set(y)[w]
	}
	t.pairs[[2]term{x, y}] = z
	return z, ""
}

// complete returns x marked as the result, or what forbids it.
func (t *terms) complete(x term) (term, string) {
	if z, ok := t.pairs[[2]term{x, undefined}]; ok {
		return z, ""
	}
	if !t.whole(x) {
		return undefined, "completes " + t.text(x) + ", which lacks ranks"
	}
	z := t.add([2]term{x, undefined})
	copy(t.set(z), t.set(x))
	t.pairs[[2]term{x, undefined}] = z
	return z, ""
}

// round returns x rounded. Rounding again changes nothing.
func (t *terms) round(x term) term {
	if x == undefined || t.kids[x][1] == rounding {
		return x
	}
	if z, ok := t.pairs[[2]term{x, rounding}]; ok {
		return z
	}
	z := t.add([2]term{x, rounding})
	copy(t.set(z), t.set(x))
	t.pairs[[2]term{x, rounding}] = z
	return z
}

// roundings returns the most roundings on the way from a contribution to x.
func (t *terms) roundings(x term) int {
	if x == undefined || x == rounding {
		return 0
	}
	n := max(t.roundings(t.kids[x][0]), t.roundings(t.kids[x][1]))
	if t.kids[x][1] == rounding {
		n++
	}
	return n
}

// canonical is the value that Algorithm.Canonical promises: neighbours are paired until a power
// of two is left, then partners at distance 1, 2, 4 and so on, the lower one always on the left.
// rounded says that operands and result are rounded.
func (t *terms) canonical(rounded bool) term {
	round := func(x term) term {
		if rounded {
			return t.round(x)
		}
		return x
	}
	if t.size == 1 {
		return t.single(0)
	}
	power := 1 << (bits.Len(uint(t.size)) - 1)
	var level []term
	for r := 0; r < t.size; r++ {
		x := t.single(r)
		if r < 2*(t.size-power) {
			r++
			x, _ = t.combine(round(x), round(t.single(r)))
		}
		level = append(level, x)
	}
	for len(level) > 1 {
		var next []term
		for i := 0; i < len(level); i += 2 {
			x, _ := t.combine(round(level[i]), round(level[i+1]))
			next = append(next, x)
		}
		level = next
	}
	z, _ := t.complete(level[0])
	return round(z)
}

// text writes a value as a sum, and cuts a long one.
func (t *terms) text(x term) string {
	const longest = 120
	s := string(t.appendText(nil, x, longest))
	if len(s) > longest {
		return s[:longest] + "..."
	}
	return s
}

func (t *terms) appendText(b []byte, x term, longest int) []byte {
	switch {
	case len(b) > longest:
		return b
	case x == undefined:
		return append(b, "undefined"...)
	case int(x) <= t.size:
		return fmt.Appendf(b, "%d", int(x)-1)
	case t.kids[x][1] == rounding:
		return t.appendText(append(b, '~'), t.kids[x][0], longest)
	case t.completed(x):
		return t.appendText(b, t.kids[x][0], longest)
	}
	b = t.appendText(append(b, '('), t.kids[x][0], longest)
	b = t.appendText(append(b, '+'), t.kids[x][1], longest)
	return append(b, ')')
}
