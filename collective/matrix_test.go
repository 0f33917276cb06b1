package collective

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/tensor"
)

// matrixSizes are the sizes of communicator that the matrix covers.
var matrixSizes = []int{1, 2, 3, 4, 5, 7, 8, 12, 16}

const mebibyte = 1 << 20

// collectives are those that have algorithms.
func collectives() (all []schedule.Collective) {
	for c := schedule.AllReduce; c <= schedule.Barrier; c++ {
		all = append(all, c)
	}
	return all
}

// matrixAlgorithms is how many rounds it takes to force every algorithm of every collective.
func matrixAlgorithms() (n int) {
	for _, c := range collectives() {
		n = max(n, len(schedule.Algorithms(c)))
	}
	return n
}

// forced is the algorithm of a collective in a round; a collective that has fewer algorithms than
// there are rounds starts again.
func forced(c schedule.Collective, round int) *schedule.Algorithm {
	algs := schedule.Algorithms(c)
	return algs[round%len(algs)]
}

// matrixWorld is the communicators of a round.
func matrixWorld(g ground, size, round int) setting {
	var force []string
	for _, c := range collectives() {
		force = append(force, fmt.Sprintf("%s=%s", c, forced(c, round).Name))
	}
	s := setting{size: size, driver: g.driver()}
	s.opts = []Option{WithAlgorithms(strings.Join(force, ","))}
	if round%3 == 1 {
		s.opts = append(s.opts, WithPriority())
	}
	if size > 2 {
		s.hosts = twoLevels(size)
	}
	return s
}

// twoLevels spreads ranks over hosts: evenly where the size allows it.
func twoLevels(size int) []int {
	perHost := 2
	if size%3 == 0 && size > 3 {
		perHost = 3
	}
	h := make([]int, size)
	for r := range h {
		h[r] = r / perHost
	}
	return h
}

// refused tells why the forced algorithm can't make the call, by the algorithm's own word.
func (v variant) refused(s setting, round int) error {
	alg := forced(v.coll, round)
	if v.coll == schedule.AllToAll && v.shape != even {
		if round%len(schedule.Algorithms(v.coll)) > 0 {
			return errors.New("ranks do not know each other's counts")
		}
		return nil
	}
	if alg.Applies == nil {
		return nil
	}
	a := schedule.Args{Size: v.size, Root: v.root, Count: v.n, Counts: v.counts(), Hosts: s.hosts}
	if v.coll == schedule.AllToAll {
		a.SendCounts, a.RecvCounts = a.Counts, a.Counts
	}
	return alg.Applies(a)
}

// run makes the variants in turn on all ranks and checks each on each. It stops at the first that
// goes wrong.
func (s setting) run(comms []*Comm, round int, variants iter.Seq[variant]) error {
	ctx, cancel := context.WithTimeout(context.Background(), exhaustiveTime)
	defer cancel()
	return first(outcomes(comms, func(c *Comm) error {
		ses := &session{ctx: ctx, c: c}
		for v := range variants {
			err := kinds[v.typ].run(ses, v)
			if refusal := v.refused(s, round); refusal != nil {
				var arg *ArgumentError
				if !errors.As(err, &arg) {
					return fmt.Errorf("%v, %s: got %w, want it refused: %w",
						v, forced(v.coll, round).Name, err, refusal)
				}
			} else if err != nil {
				return errors.Join(fmt.Errorf("%v, %s: %w", v, forced(v.coll, round).Name, err), c.Close())
			}
		}
		return nil
	}))
}

// first is the error that the others follow from, as far as one can tell: the first that is not
// about a communicator that another rank has closed.
func first(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	for _, err := range errs {
		var aborted *AbortedError
		if !errors.As(err, &aborted) {
			return fmt.Errorf("%d ranks fail, one of them with: %w", len(errs), err)
		}
	}
	return errs[0]
}

// typedOp is an element type with an operation that it supports.
type typedOp struct {
	typ tensor.Type
	op  string
}

// typedOps are the pairs that a collective can be called with.
func typedOps(c schedule.Collective) (all []typedOp) {
	for _, t := range tensor.Types() {
		ops := []string{""}
		if c.Reduces() {
			ops = kinds[t].ops
		}
		for _, op := range ops {
			all = append(all, typedOp{t, op})
		}
	}
	if c == schedule.Barrier {
		return all[:1]
	}
	return all
}

// smallCounts are the sizes of messages whose product with all else is covered.
func smallCounts(size int) []int {
	n := []int{0, 1, size - 1, size + 1, 1000}
	slices.Sort(n)
	return slices.Compact(n)
}

// blocked tells whether a collective's count is that of a block.
func blocked(c schedule.Collective) bool {
	switch c {
	case schedule.Scatter, schedule.Gather, schedule.AllGather, schedule.ReduceScatter,
		schedule.AllToAll:
		return true
	}
	return false
}

// large is the count that makes a mebibyte of the whole vector.
func large(c schedule.Collective, t tensor.Type, size int) int {
	n := mebibyte / t.Size()
	if blocked(c) {
		n /= size
	}
	return n
}

// chance draws what pairs of parameters leave open.
func chance(r *rand.Rand, v variant) variant {
	v.root = r.IntN(v.size)
	v.place = places[r.IntN(len(places))]
	v.skew = r.IntN(8)
	v.shape = even
	if blocked(v.coll) {
		v.shape = shapes[r.IntN(len(shapes))]
	}
	return v
}

// pairs makes, for each collective, every type and operation with every small count, and some
// large messages; roots, blocks and places are drawn. The same every time, and on every rank.
func pairs(size, round, stride int) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		r := rand.New(rand.NewPCG(uint64(size), uint64(round)))
		for _, c := range collectives() {
			if round >= len(schedule.Algorithms(c)) {
				continue
			}
			tops := typedOps(c)
			for i, top := range tops {
				for k, n := range smallCounts(size) {
					v := chance(r, variant{coll: c, typ: top.typ, op: top.op, size: size, n: n})
					if (i+k)%stride == 0 && !yield(v) {
						return
					}
				}
			}
			for i := range max(1, 3/stride) {
				if testing.Short() && (i+size+round)%8 != 0 {
					continue
				}
				top := tops[r.IntN(len(tops))]
				v := chance(r, variant{
					coll: c, typ: top.typ, op: top.op, size: size, n: large(c, top.typ, size),
				})
				if !yield(v) {
					return
				}
			}
		}
	}
}

// TestMatrix makes every call with every algorithm on goroutine ranks.
func TestMatrix(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 12
	}
	for _, size := range matrixSizes {
		t.Run(fmt.Sprint(size, " ranks"), func(t *testing.T) {
			for round := range matrixAlgorithms() {
				s := matrixWorld(grounds[0], size, round)
				if err := s.run(ranks(t, s), round, pairs(size, round, stride*max(1, size/2))); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			}
		})
	}
}

// TestMatrixDrawn makes drawn calls, in drawn order, on every driver.
func TestMatrixDrawn(t *testing.T) {
	for _, g := range grounds {
		t.Run(g.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { drawn(t, g) })
		})
	}
}

// drawn is a world with some calls.
func drawn(t *rapid.T, g ground) {
	size := rapid.SampledFrom(matrixSizes).Draw(t, "size")
	round := rapid.IntRange(0, matrixAlgorithms()-1).Draw(t, "round")
	variants := rapid.SliceOfN(variantsOf(size), 1, 12).Draw(t, "variants")
	s := matrixWorld(g, size, round)
	comms, err := s.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := closeAll(comms); err != nil {
			t.Error(err)
		}
	}()
	if err := s.run(comms, round, slices.Values(variants)); err != nil {
		t.Fatal(err)
	}
}

// variantsOf draws calls.
func variantsOf(size int) *rapid.Generator[variant] {
	return rapid.Custom(func(t *rapid.T) variant {
		v := variant{size: size, shape: even}
		v.coll = rapid.SampledFrom(collectives()).Draw(t, "collective")
		top := rapid.SampledFrom(typedOps(v.coll)).Draw(t, "type and operation")
		v.typ, v.op = top.typ, top.op
		v.n = rapid.SampledFrom(append(smallCounts(size), large(v.coll, v.typ, size))).Draw(t, "count")
		v.root = rapid.IntRange(0, size-1).Draw(t, "root")
		v.place = rapid.SampledFrom(places).Draw(t, "place")
		v.skew = rapid.IntRange(0, 7).Draw(t, "skew")
		if blocked(v.coll) {
			v.shape = rapid.SampledFrom(shapes).Draw(t, "shape")
		}
		return v
	})
}

// product makes every variant of small counts, and every type and operation with a large one.
func product(size, round int) iter.Seq[variant] {
	return func(yield func(variant) bool) {
		r := rand.New(rand.NewPCG(uint64(size), uint64(round)))
		for _, c := range collectives() {
			if round >= len(schedule.Algorithms(c)) {
				continue
			}
			roots, sh := 1, []shape{even}
			if c.Rooted() {
				roots = size
			}
			if blocked(c) {
				sh = shapes
			}
			for _, top := range typedOps(c) {
				v := variant{coll: c, typ: top.typ, op: top.op, size: size, n: large(c, top.typ, size)}
				if !yield(chance(r, v)) {
					return
				}
				for i := range roots * len(sh) * len(places) {
					v.root, v.shape = i%roots, sh[i/roots%len(sh)]
					v.place, v.skew = places[i/roots/len(sh)], r.IntN(8)
					for _, v.n = range smallCounts(size) {
						if !yield(v) {
							return
						}
					}
				}
			}
		}
	}
}

// exhaustiveTime bounds a round of TestMatrixExhaustive, lest it hang.
const exhaustiveTime = 30 * hang

// exhaustive reports whether TUTTI_EXHAUSTIVE asks for a size on a ground: 1 asks for all, else it
// lists grounds or sizes on them, as in "zmq:tcp/16,zmq:ipc".
func exhaustive(wish, ground string, size int) bool {
	for w := range strings.SplitSeq(wish, ",") {
		if w == "1" || w == ground || w == fmt.Sprintf("%s/%d", ground, size) {
			return true
		}
	}
	return false
}

// TestMatrixExhaustive makes the whole product on every driver: hours of a core.
func TestMatrixExhaustive(t *testing.T) {
	wish := os.Getenv("TUTTI_EXHAUSTIVE")
	if wish == "" {
		t.Skip("SKIPPED: TUTTI_EXHAUSTIVE=1 makes all of some 2.5 million calls, zmq:tcp/16 a part")
	}
	total := 0
	for _, g := range grounds {
		for _, size := range matrixSizes {
			if exhaustive(wish, g.name, size) {
				total += exhaust(t, g, size)
			}
		}
	}
	if total == 0 {
		t.Errorf("TUTTI_EXHAUSTIVE=%s asks for no ground and size", wish)
	}
	t.Logf("%d calls", total)
}

// exhaust makes the product of one size on one ground.
func exhaust(t *testing.T, g ground, size int) (calls int) {
	for round := range matrixAlgorithms() {
		s := matrixWorld(g, size, round)
		comms, err := s.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.run(comms, round, product(size, round)); err != nil {
			t.Errorf("%s, round %d on %d ranks: %v", g.name, round, size, err)
		}
		if err := closeAll(comms); err != nil {
			t.Error(err)
		}
		for range product(size, round) {
			calls++
		}
	}
	t.Logf("%s, %d ranks: %d calls", g.name, size, calls)
	return calls
}
