package schedule

import "fmt"

// Collective names what a program computes. The numbers stand in frames, so they never change.
type Collective uint8

// The collectives, with the shape of their buffers in elements. Counts has one entry per rank.
const (
	// AllReduce combines In[Count] of every rank into Out[Count] of every rank.
	AllReduce Collective = iota + 1
	// Broadcast copies In[Count] of the root to Out[Count] of every rank.
	Broadcast
	// Reduce combines In[Count] of every rank into Out[Count] of the root.
	Reduce
	// Scatter sends block r of the root's In (Counts[r] elements) to Out of rank r.
	Scatter
	// Gather puts In[Counts[r]] of rank r into block r of the root's Out.
	Gather
	// AllGather puts In[Counts[r]] of rank r into block r of every rank's Out.
	AllGather
	// ReduceScatter combines block r of every rank's In into Out[Counts[r]] of rank r.
	ReduceScatter
	// AllToAll puts block j of rank i's In into block i of rank j's Out.
	AllToAll
	// Barrier moves no element: no rank leaves before every rank has entered.
	Barrier
	// SendRecv is a message from one rank to another.
	SendRecv
)

var collectiveNames = [...]string{
	AllReduce: "allreduce", Broadcast: "broadcast", Reduce: "reduce", Scatter: "scatter",
	Gather: "gather", AllGather: "allgather", ReduceScatter: "reducescatter",
	AllToAll: "alltoall", Barrier: "barrier", SendRecv: "sendrecv",
}

func (c Collective) String() string {
	if int(c) < len(collectiveNames) && collectiveNames[c] != "" {
		return collectiveNames[c]
	}
	return fmt.Sprintf("collective(%d)", uint8(c))
}

// Rooted reports whether the collective has a root.
func (c Collective) Rooted() bool {
	return c == Broadcast || c == Reduce || c == Scatter || c == Gather
}

// Reduces reports whether the collective applies a reduction operation.
func (c Collective) Reduces() bool {
	return c == AllReduce || c == Reduce || c == ReduceScatter
}

// Args is all that a builder may look at. The same Args, Rank apart, must be given on every rank;
// SendCounts and RecvCounts are each rank's own row and column.
type Args struct {
	Rank, Size, Root int
	Count            int   // elements of the vector: AllReduce, Broadcast, Reduce; see SendCounts
	Counts           []int // elements of each rank's block: Scatter, Gather, AllGather, ReduceScatter
	// SendCounts and RecvCounts are the elements of In's block for each rank and of Out's block
	// from each rank: AllToAll. Count, unless 0, says that every block of every rank has so many,
	// which no rank could know from its own counts.
	SendCounts, RecvCounts []int
	// InPlace says that the caller's Out lies over its In: the same vector for AllReduce,
	// Broadcast, Reduce and AllToAll; for Scatter and ReduceScatter Out is In's own block; for
	// Gather and AllGather In is Out's own block. Programs must be right either way; only those
	// that need another shape in place look at it.
	InPlace bool
	// Hosts[r] is the index of the host that rank r runs on, hosts numbered from 0 in the order
	// of their first rank; nil when all ranks share one host or it does not matter.
	Hosts []int
}

// Buffer is one of the three memories that a program moves elements between.
type Buffer uint8

// The buffers. In is never written, but where Out lies over it. Scratch is the engine's memory,
// its content undefined at the start.
const (
	In Buffer = iota
	Out
	Scratch
	Buffers = 3
)

func (b Buffer) String() string {
	switch b {
	case In:
		return "in"
	case Out:
		return "out"
	case Scratch:
		return "scratch"
	}
	return fmt.Sprintf("buffer(%d)", uint8(b))
}

// Span is N consecutive blocks of a buffer starting at Block; behind the last block comes the
// first again, so that a rotated order needs no copy.
type Span struct {
	Buf      Buffer
	Block, N int
}

// Kind is what a step does.
type Kind uint8

// The kinds of step. Spans that a kind does not name stay zero.
const (
	// Send sends A to Peer.
	Send Kind = iota + 1
	// Recv receives from Peer into Dst.
	Recv
	// RecvReduce sets Dst = A op message from Peer. A may be Dst itself.
	RecvReduce
	// LocalReduce sets Dst = A op B, all local. A or B may be Dst itself.
	LocalReduce
	// Copy sets Dst = A, both local.
	Copy
)

func (k Kind) String() string {
	switch k {
	case Send:
		return "send"
	case Recv:
		return "recv"
	case RecvReduce:
		return "recvreduce"
	case LocalReduce:
		return "localreduce"
	case Copy:
		return "copy"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Step is one instruction of a rank's program. Steps have no order of their own in time: what
// orders them is overlapping memory (in program order) and the order of frames on a link.
type Step struct {
	Kind      Kind
	Peer      int
	Dst, A, B Span
	// Group orders frames on a link: all frames of a lower group come before those of a higher
	// one, and inside a group chunk 0 of every step comes before chunk 1 of any. Steps of one
	// pipeline share a group; steps of successive rounds have rising ones. Both ends of a link
	// must order their steps alike.
	Group int
	// Left puts the second operand on the left: Dst = message op A, Dst = B op A. It keeps the
	// order of ranks in a sum, so that all ranks end with the same bits.
	Left bool
	// Last marks the reduction that completes Dst's elements: all contributions are in. The
	// executor then applies what completes the operation, such as the division of an average.
	Last bool
	// Mirrored marks a reduction that another rank makes too, of the same operands, each rank having
	// received one of them from the other. It matters where messages are rounded: both ranks must
	// then combine both operands rounded, or their results differ.
	Mirrored bool
}

// Layout gives the element offsets of a buffer's blocks: block i is [Layout[i], Layout[i+1]).
// A buffer without blocks has a nil Layout.
type Layout []int

// Blocks returns the number of blocks.
func (l Layout) Blocks() int { return max(0, len(l)-1) }

// Len returns the number of elements.
func (l Layout) Len() int {
	if len(l) == 0 {
		return 0
	}
	return l[len(l)-1]
}

// Program is what one rank does in one call. It is plain data: it can be proved, costed, drawn,
// simulated, lowered and run.
type Program struct {
	Collective Collective
	Algorithm  string
	Rank, Size int
	Root       int
	InPlace    bool
	Layouts    [Buffers]Layout
	Steps      []Step
}
