package schedule

import (
	"cmp"
	"fmt"
	"slices"
)

// Piece is a range of bytes of a buffer.
type Piece struct{ Off, Len int }

// Region is a span in bytes: one piece, or two where the span goes over the end of its buffer.
type Region struct {
	Buf    Buffer
	Pieces [2]Piece
}

// Len returns the bytes of the region.
func (r *Region) Len() int { return r.Pieces[0].Len + r.Pieces[1].Len }

// slice returns the bytes [lo, hi) of the region.
func (r Region) slice(lo, hi int) Region {
	out := Region{Buf: r.Buf}
	n := 0
	for _, p := range r.Pieces {
		a, b := max(lo, 0), min(hi, p.Len)
		if a < b {
			out.Pieces[n] = Piece{p.Off + a, b - a}
			n++
		}
		lo, hi = lo-p.Len, hi-p.Len
	}
	return out
}

// Op is a chunk of a step: the unit that the executor runs and that becomes one frame.
type Op struct {
	Kind       Kind
	Left, Last bool
	Mirrored   bool
	Peer       int
	Dst, A, B  Region
	Step       int // index into Program.Steps
	Chunk      int // index of the chunk inside the step
}

// Bytes returns the number of bytes that the operation moves.
func (o *Op) Bytes() int {
	if o.Kind == Send {
		return o.A.Len()
	}
	return o.Dst.Len()
}

// Link lists, in the order of their frames, the operations that use the link to one peer.
type Link struct {
	Peer         int
	Sends, Recvs []int32 // indices into Plan.Ops
}

// Plan is a program cut into chunks, with the dependencies that its memory demands. It does not
// change once made, so any number of calls may run it.
type Plan struct {
	Ops      []Op
	Indegree []int32 // how many operations must be done before each operation may start
	SuccAt   []int32 // successors of operation i are Succ[SuccAt[i]:SuccAt[i+1]]
	Succ     []int32
	Links    []Link
	// Local lists the operations without a peer (LocalReduce, Copy) that depend on nothing.
	Local        []int32
	ScratchBytes int
	ChunkBytes   int
}

// Lower cuts a program into chunks of at most chunkBytes (a multiple of 64, so that no element of
// any type is cut) for elements of elemBytes, and derives the dependencies between the chunks
// from their overlapping memory: a later chunk waits for an earlier one when they touch the same
// byte and at least one of them writes it. A step of no bytes becomes one operation, so that
// every message has a frame; it waits for nothing but the frames before it.
func Lower(p *Program, elemBytes, chunkBytes int) (*Plan, error) {
	if elemBytes <= 0 || chunkBytes <= 0 || chunkBytes%64 != 0 {
		return nil, fmt.Errorf("schedule: lower: chunk of %d bytes for elements of %d: "+
			"the chunk must be a positive multiple of 64", chunkBytes, elemBytes)
	}
	plan := &Plan{
		Ops: make([]Op, 0, len(p.Steps)), ScratchBytes: p.Layouts[Scratch].Len() * elemBytes,
		ChunkBytes: chunkBytes,
	}
	for i := range p.Steps {
		if err := plan.cut(p, i, elemBytes); err != nil {
			return nil, err
		}
	}
	plan.derive(p, elemBytes)
	plan.order(p)
	return plan, nil
}

// cut appends the chunks of step i.
func (pl *Plan) cut(p *Program, i, elemBytes int) error {
	s := &p.Steps[i]
	var dst, a, b Region
	var err error
	want := -1
	region := func(sp Span) (r Region) {
		if err != nil {
			return r
		}
		if r, err = p.region(sp, elemBytes); err == nil {
			if want >= 0 && r.Len() != want {
				err = fmt.Errorf("spans of %d and %d bytes", want, r.Len())
			}
			want = r.Len()
		}
		return r
	}
	switch s.Kind {
	case Send:
		a = region(s.A)
	case Recv:
		dst = region(s.Dst)
	case RecvReduce, Copy:
		dst, a = region(s.Dst), region(s.A)
	case LocalReduce:
		dst, a, b = region(s.Dst), region(s.A), region(s.B)
	default:
		err = fmt.Errorf("unknown kind %d", s.Kind)
	}
	if err != nil {
		return fmt.Errorf("schedule: %s %s of rank %d: step %d (%s): %w",
			p.Collective, p.Algorithm, p.Rank, i, s.Kind, err)
	}
	for c := 0; c == 0 || c*pl.ChunkBytes < want; c++ {
		lo, hi := c*pl.ChunkBytes, min((c+1)*pl.ChunkBytes, want)
		pl.Ops = append(pl.Ops, Op{
			Kind: s.Kind, Left: s.Left, Last: s.Last, Mirrored: s.Mirrored, Peer: s.Peer,
			Dst: dst.slice(lo, hi), A: a.slice(lo, hi), B: b.slice(lo, hi), Step: i, Chunk: c,
		})
	}
	return nil
}

// region translates a span into bytes.
func (p *Program) region(s Span, elemBytes int) (Region, error) {
	if s.Buf >= Buffers {
		return Region{}, fmt.Errorf("unknown buffer %d", s.Buf)
	}
	l := p.Layouts[s.Buf]
	n := l.Blocks()
	if s.N < 0 || s.N > n || s.Block < 0 || (s.Block >= n && s.N > 0) {
		return Region{}, fmt.Errorf("blocks [%d,+%d) of %s, which has %d", s.Block, s.N, s.Buf, n)
	}
	r := Region{Buf: s.Buf}
	if s.N == 0 {
		return r, nil
	}
	end := s.Block + s.N
	first := min(end, n)
	pieces := [2]Piece{
		{l[s.Block] * elemBytes, (l[first] - l[s.Block]) * elemBytes},
		{0, l[max(0, end-n)] * elemBytes},
	}
	if pieces[0].Len == 0 {
		pieces[0], pieces[1] = pieces[1], Piece{}
	}
	r.Pieces = pieces
	return r, nil
}

// order lists each link's frames and the local operations that may start at once.
func (pl *Plan) order(p *Program) {
	at := map[int]int{}
	for i := range pl.Ops {
		op := &pl.Ops[i]
		if op.Kind == LocalReduce || op.Kind == Copy {
			if pl.Indegree[i] == 0 {
				pl.Local = append(pl.Local, int32(i))
			}
			continue
		}
		k, ok := at[op.Peer]
		if !ok {
			k = len(pl.Links)
			at[op.Peer] = k
			pl.Links = append(pl.Links, Link{Peer: op.Peer})
		}
		if op.Kind == Send {
			pl.Links[k].Sends = append(pl.Links[k].Sends, int32(i))
		} else {
			pl.Links[k].Recvs = append(pl.Links[k].Recvs, int32(i))
		}
	}
	byFrame := func(i, j int32) int {
		a, b := &pl.Ops[i], &pl.Ops[j]
		return cmp.Or(cmp.Compare(p.Steps[a.Step].Group, p.Steps[b.Step].Group),
			cmp.Compare(a.Chunk, b.Chunk), cmp.Compare(a.Step, b.Step))
	}
	for k := range pl.Links {
		slices.SortFunc(pl.Links[k].Sends, byFrame)
		slices.SortFunc(pl.Links[k].Recvs, byFrame)
	}
}
