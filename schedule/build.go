package schedule

import (
	"slices"

	"github.com/tutti-ml/tutti/tensor"
)

// newProgram starts the program of a call.
func newProgram(c Collective, name string, a Args) *Program {
	return &Program{
		Collective: c, Algorithm: name, Rank: a.Rank, Size: a.Size, Root: a.Root, InPlace: a.InPlace,
	}
}

// offsets returns the layout of blocks of the given sizes.
func offsets(counts []int) Layout {
	l := make(Layout, len(counts)+1)
	for i, n := range counts {
		l[i+1] = l[i] + n
	}
	return l
}

// evenly returns the layout of n elements cut into blocks of almost equal size.
func evenly(n, blocks int) Layout { return tensor.Partition(n, blocks) }

// all returns the span of every block of a buffer.
func (p *Program) all(b Buffer) Span { return Span{b, 0, p.Layouts[b].Blocks()} }

func (p *Program) send(group, peer int, a Span) {
	p.Steps = append(p.Steps, Step{Kind: Send, Peer: peer, A: a, Group: group})
}

func (p *Program) recv(group, peer int, dst Span) {
	p.Steps = append(p.Steps, Step{Kind: Recv, Peer: peer, Dst: dst, Group: group})
}

// reduction is how a step combines its operands.
type reduction struct{ left, last, mirrored bool }

func (p *Program) recvReduce(group, peer int, dst, a Span, how reduction) {
	p.Steps = append(p.Steps, Step{
		Kind: RecvReduce, Peer: peer, Dst: dst, A: a, Group: group,
		Left: how.left, Last: how.last, Mirrored: how.mirrored,
	})
}

func (p *Program) localReduce(dst, a, b Span, how reduction) {
	p.Steps = append(p.Steps, Step{
		Kind: LocalReduce, Dst: dst, A: a, B: b,
		Left: how.left, Last: how.last, Mirrored: how.mirrored,
	})
}

func (p *Program) copy(dst, a Span) {
	p.Steps = append(p.Steps, Step{Kind: Copy, Dst: dst, A: a})
}

// keep puts a rank's own contribution, which needs no message, where it belongs in Out; in place
// it is there already.
func (p *Program) keep(dst, a Span) {
	if !p.InPlace {
		p.copy(dst, a)
	}
}

// alone completes the program of the only rank and reports whether there is only one.
func (p *Program) alone() bool {
	if p.Size == 1 {
		p.keep(p.all(Out), p.all(In))
	}
	return p.Size == 1
}

// team is some of the ranks, numbered through from 0, as a phase of a program sees them.
type team struct {
	me, size int
	rank     func(i int) int
}

// index returns the number of member i, counted around the team.
func (t team) index(i int) int { return (i%t.size + t.size) % t.size }

// peer returns the rank of member i, counted around the team.
func (t team) peer(i int) int { return t.rank(t.index(i)) }

// everyone is the team of all ranks.
func everyone(a Args) team {
	return team{a.Rank, a.Size, func(i int) int { return i }}
}

// fromRoot is the team of all ranks, numbered from the root on.
func fromRoot(a Args) team {
	me := (a.Rank - a.Root + a.Size) % a.Size
	return team{me, a.Size, func(i int) int { return (i + a.Root) % a.Size }}
}

// listed is the team of the given ranks, of which the caller is one.
func listed(ranks []int, rank int) team {
	return team{slices.Index(ranks, rank), len(ranks), func(i int) int { return ranks[i] }}
}

// view finds the n blocks of a team's members i, i+1, ..., counted around the team, in a buffer.
type view func(i, n int) Span

// viewOf is the view of a buffer that holds count members, width blocks each, in the order of the
// team turned so that member first comes first.
func viewOf(b Buffer, count, width, first int) view {
	return func(i, n int) Span {
		at := ((i-first)%count + count) % count
		return Span{b, at * width, n * width}
	}
}

// slots lays out a memory of several slots, each of which holds any one of blocks of the given
// sizes. It returns the layout and a function that finds n elements at the start of a slot. The
// bounds of a slot's blocks are the sizes that occur, so that every size is a span.
func slots(counts []int, number int) (Layout, func(slot, n int) Span) {
	sizes := slices.Clone(counts)
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	if len(sizes) > 0 && sizes[0] == 0 {
		sizes = sizes[1:]
	}
	l := Layout{0}
	for range number {
		start := l.Len()
		for _, n := range sizes {
			l = append(l, start+n)
		}
	}
	return l, func(slot, n int) Span {
		k, _ := slices.BinarySearch(sizes, n+1)
		return Span{Scratch, slot * len(sizes), k}
	}
}
