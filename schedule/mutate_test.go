package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// mutation damages the programs of a call at random; it returns what it did, "" when it could not.
type mutation struct {
	name  string
	apply func(x *rand.Rand, programs []*Program) string
}

// onStep makes a mutation of something done to one step that qualifies.
func onStep(name string, fits func(s *Step) bool,
	do func(x *rand.Rand, p *Program, i int),
) mutation {
	return mutation{name, func(x *rand.Rand, programs []*Program) string {
		p, i := anyStep(x, programs, fits)
		if p == nil {
			return ""
		}
		was := fmt.Sprintf("%+v", p.Steps[i])
		do(x, p, i)
		now := "gone"
		if i < len(p.Steps) {
			now = fmt.Sprintf("%+v", p.Steps[i])
		}
		return fmt.Sprintf("rank %d step %d: %s -> %s", p.Rank, i, was, now)
	}}
}

func anyStep(x *rand.Rand, programs []*Program, fits func(s *Step) bool) (*Program, int) {
	for range 60 {
		p := programs[x.IntN(len(programs))]
		if len(p.Steps) == 0 {
			continue
		}
		if i := x.IntN(len(p.Steps)); fits(&p.Steps[i]) {
			return p, i
		}
	}
	return nil, 0
}

func anyKind(*Step) bool     { return true }
func isRemote(s *Step) bool  { return s.Kind == Send || s.Kind == Recv || s.Kind == RecvReduce }
func isReduce(s *Step) bool  { return s.Kind == RecvReduce || s.Kind == LocalReduce }
func isReceive(s *Step) bool { return s.Kind == Recv || s.Kind == RecvReduce }

// anySpan picks a span that the step uses.
func anySpan(x *rand.Rand, s *Step) *Span {
	spans := []*Span{&s.Dst, &s.A, &s.B}
	for {
		if k := x.IntN(3); spansOf[s.Kind]&(1<<k) != 0 {
			return spans[k]
		}
	}
}

var mutations = []mutation{
	onStep("drop a step", anyKind, func(_ *rand.Rand, p *Program, i int) {
		p.Steps = slices.Delete(p.Steps, i, i+1)
	}),
	onStep("do a step twice", anyKind, func(_ *rand.Rand, p *Program, i int) {
		p.Steps = slices.Insert(p.Steps, i, p.Steps[i])
	}),
	onStep("swap two steps", anyKind, func(x *rand.Rand, p *Program, i int) {
		j := x.IntN(len(p.Steps))
		p.Steps[i], p.Steps[j] = p.Steps[j], p.Steps[i]
	}),
	onStep("swap neighbouring steps", anyKind, func(_ *rand.Rand, p *Program, i int) {
		j := (i + 1) % len(p.Steps)
		p.Steps[i], p.Steps[j] = p.Steps[j], p.Steps[i]
	}),
	onStep("shift a span", anyKind, func(x *rand.Rand, p *Program, i int) {
		s := anySpan(x, &p.Steps[i])
		if n := p.Layouts[s.Buf].Blocks(); n > 1 {
			s.Block = (s.Block + 1 + x.IntN(n-1)) % n
		}
	}),
	onStep("change a span's length", anyKind, func(x *rand.Rand, p *Program, i int) {
		anySpan(x, &p.Steps[i]).N += 1 - 2*x.IntN(2)
	}),
	onStep("change a span's buffer", anyKind, func(x *rand.Rand, p *Program, i int) {
		s := anySpan(x, &p.Steps[i])
		s.Buf = (s.Buf + 1 + Buffer(x.IntN(2))) % Buffers
	}),
	onStep("shift all spans of a step", anyKind, func(_ *rand.Rand, p *Program, i int) {
		s := &p.Steps[i]
		for k, span := range []*Span{&s.Dst, &s.A, &s.B} {
			if n := p.Layouts[span.Buf].Blocks(); spansOf[s.Kind]&(1<<k) != 0 && n > 0 {
				span.Block = (span.Block + 1) % n
			}
		}
	}),
	onStep("add or drop Last", isReduce, func(_ *rand.Rand, p *Program, i int) {
		p.Steps[i].Last = !p.Steps[i].Last
	}),
	onStep("turn Left over", isReduce, func(_ *rand.Rand, p *Program, i int) {
		p.Steps[i].Left = !p.Steps[i].Left
	}),
	onStep("receive instead of reducing", isReceive, func(_ *rand.Rand, p *Program, i int) {
		if s := &p.Steps[i]; s.Kind == Recv {
			s.Kind, s.A = RecvReduce, s.Dst
		} else {
			s.Kind, s.A, s.Left, s.Last, s.Mirrored = Recv, Span{}, false, false, false
		}
	}),
	onStep("exchange operands", func(s *Step) bool { return s.Kind == Copy || s.Kind == LocalReduce },
		func(_ *rand.Rand, p *Program, i int) {
			if s := &p.Steps[i]; s.Kind == Copy {
				s.Dst, s.A = s.A, s.Dst
			} else {
				s.A, s.B = s.B, s.A
			}
		}),
	onStep("reduce an operand twice", isReduce, func(_ *rand.Rand, p *Program, i int) {
		s := p.Steps[i]
		p.Steps = slices.Insert(p.Steps, i+1,
			Step{Kind: LocalReduce, Dst: s.Dst, A: s.Dst, B: s.A, Group: s.Group, Last: s.Last})
	}),
	onStep("send to another peer", isRemote, func(x *rand.Rand, p *Program, i int) {
		p.Steps[i].Peer = (p.Steps[i].Peer + 1 + x.IntN(max(1, p.Size-1))) % p.Size
	}),
	onStep("swap peers", isRemote, func(x *rand.Rand, p *Program, i int) {
		if q, j := anyStep(x, []*Program{p}, isRemote); q != nil {
			p.Steps[i].Peer, p.Steps[j].Peer = p.Steps[j].Peer, p.Steps[i].Peer
		}
	}),
	onStep("change a group", isRemote, func(x *rand.Rand, p *Program, i int) {
		p.Steps[i].Group += 1 - 2*x.IntN(2)
	}),
	onStep("swap groups", isRemote, func(x *rand.Rand, p *Program, i int) {
		if q, j := anyStep(x, []*Program{p}, isRemote); q != nil {
			p.Steps[i].Group, p.Steps[j].Group = p.Steps[j].Group, p.Steps[i].Group
		}
	}),
	onStep("shift a block's border", anyKind, func(x *rand.Rand, p *Program, _ int) {
		l := p.Layouts[x.IntN(Buffers)]
		if len(l) > 2 {
			l[1+x.IntN(len(l)-2)] += 1 - 2*x.IntN(2)
		}
	}),
	{"drop a message", func(x *rand.Rand, programs []*Program) string {
		return onMessage(x, programs, func(p, q *Program, i, j int) {
			p.Steps = slices.Delete(p.Steps, i, i+1)
			q.Steps = slices.Delete(q.Steps, j, j+1)
		})
	}},
	{"send a message twice", func(x *rand.Rand, programs []*Program) string {
		return onMessage(x, programs, func(p, q *Program, i, j int) {
			p.Steps = slices.Insert(p.Steps, i, p.Steps[i])
			q.Steps = slices.Insert(q.Steps, j, q.Steps[j])
		})
	}},
	{"move both ends of a message", func(x *rand.Rand, programs []*Program) string {
		return onMessage(x, programs, func(p, q *Program, i, j int) {
			for _, end := range []struct {
				p *Program
				s *Span
			}{{p, &p.Steps[i].A}, {q, &q.Steps[j].Dst}} {
				if n := end.p.Layouts[end.s.Buf].Blocks(); n > 0 {
					end.s.Block = (end.s.Block + 1) % n
				}
			}
		})
	}},
	{"send a message to the start", func(x *rand.Rand, programs []*Program) string {
		return onMessage(x, programs, func(p, q *Program, i, j int) {
			s, r := p.Steps[i], q.Steps[j]
			p.Steps = slices.Insert(slices.Delete(p.Steps, i, i+1), 0, s)
			q.Steps = slices.Insert(slices.Delete(q.Steps, j, j+1), 0, r)
		})
	}},
}

// onMessage does something to both ends of a message: the n-th send and receive of a link.
func onMessage(x *rand.Rand, programs []*Program, do func(p, q *Program, i, j int)) string {
	p, i := anyStep(x, programs, func(s *Step) bool { return s.Kind == Send })
	if p == nil {
		return ""
	}
	q := programs[p.Steps[i].Peer]
	nth := 0
	for k := range i {
		if p.Steps[k].Kind == Send && p.Steps[k].Peer == q.Rank {
			nth++
		}
	}
	for j := range q.Steps {
		if s := &q.Steps[j]; isReceive(s) && s.Peer == p.Rank {
			if nth == 0 {
				do(p, q, i, j)
				return fmt.Sprintf("rank %d step %d to rank %d step %d", p.Rank, i, q.Rank, j)
			}
			nth--
		}
	}
	return ""
}

// clonePrograms copies programs so that nothing is shared.
func clonePrograms(programs []*Program) []*Program {
	all := make([]*Program, len(programs))
	for r, p := range programs {
		q := *p
		q.Steps = slices.Clone(p.Steps)
		for b := range q.Layouts {
			q.Layouts[b] = slices.Clone(q.Layouts[b])
		}
		all[r] = &q
	}
	return all
}

// accepts asks the prover, for whole steps and for chunks of one and two elements.
func accepts(programs []*Program, args []Args, canonical bool) error {
	for _, o := range []ProveOptions{
		{}, {ElemBytes: 64, ChunkBytes: 64}, {ElemBytes: 64, ChunkBytes: 128},
	} {
		o.Args, o.Canonical, o.Orders = args, canonical, 1
		if _, err := Prove(programs, o); err != nil {
			return err
		}
	}
	return nil
}

// score counts what became of one kind of mutation.
type score struct{ harmful, caught, harmless, refused int }

// TestMutants damages programs at random and demands that the prover rejects every mutant that a
// plain execution on numbers finds wrong. Mutants that compute the same are counted apart; the
// prover may refuse those (one that is only right by luck of its counts), and mostly accepts them.
func TestMutants(t *testing.T) {
	total := map[string]*score{}
	algorithms := allAlgorithms()
	results := make([]map[string]*score, len(algorithms))
	inParallel(t, len(algorithms), func(i int) { results[i] = mutate(t, algorithms[i], uint64(i)) })
	for i, result := range results {
		harmful := 0
		for name, s := range result {
			if total[name] == nil {
				total[name] = &score{}
			}
			total[name].add(s)
			harmful += s.harmful
		}
		if harmful < 10*mutantRounds() && !t.Failed() {
			t.Errorf("%s: only %d harmful mutants", title(algorithms[i]), harmful)
		}
	}
	var all score
	var table strings.Builder
	for _, m := range mutations {
		if s := total[m.name]; s != nil {
			fmt.Fprintf(&table, "\n%-28s %5d of %5d caught, %4d of %4d harmless refused",
				m.name, s.caught, s.harmful, s.refused, s.harmless)
			all.add(s)
		}
	}
	t.Logf("%d of %d harmful mutants caught, %d of %d harmless ones refused%s",
		all.caught, all.harmful, all.refused, all.harmless, &table)
	if all.harmful < 200 || all.caught != all.harmful {
		t.Errorf("score %d of %d, want all of at least 200", all.caught, all.harmful)
	}
}

// mutantRounds is how often each algorithm goes through all mutations at each size. Two-level
// algorithms have programs from four ranks on only, and get 14 harmful mutants out of a round.
func mutantRounds() int {
	if testing.Short() {
		return 1
	}
	return 2
}

func (s *score) add(o *score) {
	s.harmful += o.harmful
	s.caught += o.caught
	s.harmless += o.harmless
	s.refused += o.refused
}

// mutate tries every mutation on programs of several sizes.
func mutate(t *testing.T, a *Algorithm, seed uint64) map[string]*score {
	result := map[string]*score{}
	for _, size := range []int{2, 3, 4, 6, 8} {
		for k := range mutantRounds() {
			x := rand.New(rand.NewPCG(seed, uint64(size*100+k)))
			args, programs := mutantCall(a, size, k, x)
			if programs == nil {
				continue
			}
			for _, m := range mutations {
				if result[m.name] == nil {
					result[m.name] = &score{}
				}
				mutant := clonePrograms(programs)
				what := m.apply(x, mutant)
				if what == "" {
					continue
				}
				s := result[m.name]
				wrong := judge(mutant, args, a.Canonical, x.Uint64())
				refusal := accepts(mutant, args, a.Canonical)
				switch {
				case wrong == nil && refusal == nil:
					s.harmless++
				case wrong == nil:
					s.harmless++
					s.refused++
				case refusal != nil:
					s.harmful++
					s.caught++
				default:
					s.harmful++
					t.Errorf("%s size %d in place %v: %s: %s: accepted, but %v",
						title(a), size, args[0].InPlace, m.name, what, wrong)
				}
			}
		}
	}
	return result
}

// mutantCall builds the programs that mutate damages; their originals must be right.
func mutantCall(a *Algorithm, size, k int, x *rand.Rand) ([]Args, []*Program) {
	spreads := hostings(size)
	c := call{
		collective: a.Collective, size: size, pattern: 2 * x.IntN(2), inPlace: k%2 == 1,
		hosts: spreads[x.IntN(len(spreads))],
	}
	if a.Collective.Rooted() {
		c.root = x.IntN(size)
	}
	args := c.args()
	programs := build(a, args)
	if programs == nil {
		c.hosts = nil
		args = c.args()
		programs = build(a, args)
	}
	return args, programs
}

// TestJudge runs the unchanged programs of all algorithms on numbers: they are right in every
// order tried, whatever the prover says.
func TestJudge(t *testing.T) {
	for _, a := range allAlgorithms() {
		t.Run(title(a), func(t *testing.T) {
			t.Parallel()
			hosted := usesHosts(a)
			for size := 1; size <= 9; size++ {
				spreads := hostings(size)
				if !hosted {
					spreads = spreads[:1]
				}
				for k := range 4 * len(spreads) {
					c := call{
						collective: a.Collective, size: size, pattern: k / 2 % 2 * 3 % patterns,
						inPlace: k%2 == 1, hosts: spreads[k/4],
					}
					if a.Collective.Rooted() {
						c.root = (size + k) % size
					}
					args := c.args()
					programs := build(a, args)
					if programs == nil {
						continue
					}
					if err := judge(programs, args, a.Canonical, uint64(k)); err != nil {
						t.Fatalf("%s: %v", c, err)
					}
				}
			}
		})
	}
}
