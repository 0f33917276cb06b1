package schedule

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCells compares the runs of an address space with one value per address.
func TestCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 24
		type cell struct {
			t     term
			index int
		}
		var plain [size]cell
		c := cells{{0, size, undefined, 0}}
		for range rapid.IntRange(1, 20).Draw(t, "writes") {
			lo := rapid.IntRange(0, size-1).Draw(t, "lo")
			var values []value
			at := lo
			for at < size && rapid.Bool().Draw(t, "more") {
				v := value{
					n:     rapid.IntRange(1, size-at).Draw(t, "n"),
					t:     term(rapid.IntRange(0, 3).Draw(t, "term")),
					index: at + rapid.IntRange(-2, 2).Draw(t, "shift"),
				}
				for i := range v.n {
					plain[at+i] = cell{v.t, v.index + i}
				}
				values = append(values, v)
				at += v.n
			}
			c.write(lo, values)
		}
		if c[0].lo != 0 || c[len(c)-1].hi != size {
			t.Fatalf("runs end early: %v", c)
		}
		for i, r := range c {
			gap := i > 0 && r.lo != c[i-1].hi
			alike := i > 0 && r.t == c[i-1].t && r.shift == c[i-1].shift
			if r.lo >= r.hi || gap || alike {
				t.Fatalf("runs with a gap, empty or not joined: %v", c)
			}
		}
		lo := rapid.IntRange(0, size).Draw(t, "from")
		hi := rapid.IntRange(lo, size).Draw(t, "to")
		at := lo
		for _, v := range c.read(lo, hi, nil) {
			for i := range v.n {
				want := plain[at]
				if v.t != want.t || v.t != undefined && v.index+i != want.index {
					t.Fatalf("address %d has %d of %d, want %d of %d",
						at, v.index+i, v.t, want.index, want.t)
				}
				at++
			}
		}
		if at != hi {
			t.Fatalf("read [%d,%d) to %d only", lo, hi, at)
		}
	})
}

// TestCutValues checks that cutting loses and moves nothing.
func TestCutValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var values []value
		total := 0
		for range rapid.IntRange(1, 5).Draw(t, "values") {
			n := rapid.IntRange(1, 4).Draw(t, "n")
			values = append(values, value{n, term(rapid.IntRange(1, 2).Draw(t, "term")), 10 * total})
			total += n
		}
		flat := func(values []value) (all [][2]int) {
			for _, v := range values {
				for i := range v.n {
					all = append(all, [2]int{int(v.t), v.index + i})
				}
			}
			return all
		}
		want := flat(values)
		n := rapid.IntRange(1, total).Draw(t, "cut")
		head, tail := cutValues(values, n)
		if got := slices.Concat(flat(head), flat(tail)); !slices.Equal(got, want) ||
			len(flat(head)) != n {
			t.Fatalf("cut after %d: %v and %v, want %v", n, head, tail, want)
		}
	})
}

// FuzzProve gives the prover programs made of arbitrary numbers: it must refuse or accept them,
// and the judge must agree with what it accepts.
func FuzzProve(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 3, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 2, 1, 1, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return
		}
		next := func() int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(int8(b))
		}
		programs, args := exchange()
		for len(data) > 0 {
			p := programs[next()&1]
			s := Step{
				Kind: Kind(next() & 7), Peer: next(), Group: next(), Left: next()&1 == 1,
				Last: next()&1 == 1,
			}
			for _, span := range []*Span{&s.Dst, &s.A, &s.B} {
				*span = Span{Buffer(next() & 3), next(), next()}
			}
			switch next() & 3 {
			case 0:
				p.Steps = append(p.Steps, s)
			case 1:
				p.Steps[0] = s
			case 2:
				p.Layouts[next()&1+1] = Layout{0, next(), next()}
			case 3:
				args[next()&1].Count = next()
			}
		}
		if accepts(programs, args, false) != nil {
			return
		}
		if err := judge(programs, args, false, 1); err != nil {
			t.Errorf("accepted, but %v", err)
		}
	})
}
