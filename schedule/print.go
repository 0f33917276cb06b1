package schedule

import (
	"fmt"
	"strings"
)

// String lists the program: a line with the call, one for each buffer with the offsets of its
// blocks, and one for each step. A step's line has its index, its group and what it does; blocks
// are written as half-open ranges, two of them where a span goes over the end of its buffer.
func (p *Program) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, rank %d of %d", p.Collective, p.Algorithm, p.Rank, p.Size)
	if p.Collective.Rooted() {
		fmt.Fprintf(&b, ", root %d", p.Root)
	}
	if p.InPlace {
		b.WriteString(", in place")
	}
	b.WriteByte('\n')
	for i, l := range p.Layouts {
		if len(l) > 0 {
			fmt.Fprintf(&b, "  %-7s at %v\n", Buffer(i), []int(l))
		}
	}
	for i := range p.Steps {
		fmt.Fprintf(&b, "  %3d  group %-3d %s\n", i, p.Steps[i].Group, p.stepString(&p.Steps[i]))
	}
	return b.String()
}

func (p *Program) stepString(s *Step) string {
	var text string
	switch s.Kind {
	case Send:
		return fmt.Sprintf("send %s to %d", p.spanString(s.A), s.Peer)
	case Recv:
		return fmt.Sprintf("%s = recv from %d", p.spanString(s.Dst), s.Peer)
	case Copy:
		return fmt.Sprintf("%s = %s", p.spanString(s.Dst), p.spanString(s.A))
	case RecvReduce, LocalReduce:
		left, right := p.spanString(s.A), fmt.Sprintf("recv from %d", s.Peer)
		if s.Kind == LocalReduce {
			right = p.spanString(s.B)
		}
		if s.Left {
			left, right = right, left
		}
		text = fmt.Sprintf("%s = %s op %s", p.spanString(s.Dst), left, right)
	default:
		return s.Kind.String()
	}
	if s.Last {
		text += ", complete"
	}
	return text
}

func (p *Program) spanString(s Span) string {
	blocks := 0
	if s.Buf < Buffers {
		blocks = p.Layouts[s.Buf].Blocks()
	}
	end := s.Block + s.N
	switch {
	case s.N == 0:
		return s.Buf.String() + "[]"
	case end > blocks && s.Block < blocks:
		return fmt.Sprintf("%s[%d:%d 0:%d]", s.Buf, s.Block, blocks, end-blocks)
	}
	return fmt.Sprintf("%s[%d:%d]", s.Buf, s.Block, end)
}
