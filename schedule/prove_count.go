package schedule

import "slices"

// Count is what one rank does in a call. Elements are counted, not bytes.
type Count struct {
	MessagesSent, MessagesReceived int // frames, so chunks where steps are cut
	Sent, Received                 int // elements
	Reduced                        int // elements written by RecvReduce and LocalReduce
	Copied                         int // elements written by Copy
}

// Message is one frame of a call.
type Message struct {
	From, To         int // ranks
	FromStep, ToStep int // indices into their programs' Steps
	Chunk            int
	Elements         int
	Round            int // of the one-ported schedule that Proof.Rounds counts
}

// Proof is what Prove learned about the programs of a call.
type Proof struct {
	Collective Collective
	Algorithm  string
	Size, Root int
	Ranks      []Count // by rank
	Max        Count   // each field's maximum over the ranks
	// Messages lists every frame, by round, then by sender and receiver.
	Messages []Message
	// Rounds is the number of rounds when a rank sends at most one frame and receives at most one
	// in a round. In each round ready frames of the lowest group go, those first that were ready
	// first: exact for programs in rounds, near the least possible for pipelines. Volume is the
	// sum over the rounds of the largest frame, in elements.
	Rounds, Volume int
	// Reduction is the sum over the rounds of the most elements that a rank combines in, or
	// between, two of them.
	Reduction int
	// OnePorted reports whether the groups themselves are such rounds: whether no rank has two
	// sends or two receives in a group.
	OnePorted bool
	// Orders is the number of different orders in which the elements of the result are combined;
	// 1 means that an element's bits do not depend on its place. Order is the order of the first
	// element, as a sum of ranks. Both are zero when nothing is reduced.
	Orders int
	Order  string
	// Roundings is the most roundings on the way of a contribution to the result, for programs
	// proved as Rounded.
	Roundings int
	// Contact lists, by rank, the ranks it exchanges frames with.
	Contact [][]int
	// EarlyLeavers lists the ranks that receive no frame, in rising order. They may return before
	// any other rank has entered the call, so they do not learn in it that another rank called
	// something else.
	EarlyLeavers []int
}

// proof gathers the figures of programs that passed all checks.
func (p *prover) proof() *Proof {
	first := p.programs[0]
	f := &Proof{
		Collective: first.Collective, Algorithm: first.Algorithm, Size: p.size, Root: first.Root,
		Contact: p.contact(), EarlyLeavers: p.earlyLeavers(), OnePorted: p.onePorted(),
	}
	f.Ranks = make([]Count, p.size)
	for r := range f.Ranks {
		f.Ranks[r] = p.count(r)
		f.Max.raise(f.Ranks[r])
	}
	f.Messages, f.Reduction = p.schedule()
	largest := 0
	for i, m := range f.Messages {
		largest = max(largest, m.Elements)
		if i+1 == len(f.Messages) || f.Messages[i+1].Round != m.Round {
			f.Rounds, f.Volume, largest = m.Round+1, f.Volume+largest, 0
		}
	}
	if first.Collective.Reduces() {
		seen := map[term]bool{}
		for r := range p.result {
			for _, v := range p.result[r] {
				if len(seen) == 0 {
					f.Order = p.terms.text(v.t)
				}
				if !seen[v.t] {
					f.Roundings = max(f.Roundings, p.terms.roundings(v.t))
				}
				seen[v.t] = true
			}
		}
		f.Orders = len(seen)
	}
	return f
}

// count adds up what rank r does.
func (p *prover) count(r int) Count {
	var c Count
	for i := range p.plans[r].Ops {
		op := &p.plans[r].Ops[i]
		n := op.Bytes() / p.o.ElemBytes
		switch op.Kind {
		case Send:
			c.MessagesSent++
			c.Sent += n
		case Recv, RecvReduce:
			c.MessagesReceived++
			c.Received += n
		}
		c.Reduced += p.reduces(p.base[r] + int32(i))
		if op.Kind == Copy {
			c.Copied += n
		}
	}
	return c
}

func (c *Count) raise(d Count) {
	c.MessagesSent = max(c.MessagesSent, d.MessagesSent)
	c.MessagesReceived = max(c.MessagesReceived, d.MessagesReceived)
	c.Sent = max(c.Sent, d.Sent)
	c.Received = max(c.Received, d.Received)
	c.Reduced = max(c.Reduced, d.Reduced)
	c.Copied = max(c.Copied, d.Copied)
}

// group returns the group of the step of operation g.
func (p *prover) group(g int32) int {
	return p.programs[p.rankOf[g]].Steps[p.op(g).Step].Group
}

// onePorted reports whether no group has two sends or two receives of a rank. Chunks of one step
// are one message here.
func (p *prover) onePorted() bool {
	for _, program := range p.programs {
		var groups [2][]int // of receives, of sends
		for _, s := range program.Steps {
			switch s.Kind {
			case Send:
				groups[1] = append(groups[1], s.Group)
			case Recv, RecvReduce:
				groups[0] = append(groups[0], s.Group)
			}
		}
		for _, list := range groups {
			slices.Sort(list)
			if len(slices.Compact(slices.Clone(list))) < len(list) {
				return false
			}
		}
	}
	return true
}

// schedule deals the messages out to rounds and returns Proof.Reduction too.
func (p *prover) schedule() (all []Message, reduction int) {
	waits := p.waits()
	ready := map[int][]int32{} // sends whose message may go, by group
	var local []int32
	free := func(g int32) {
		other := p.partner[g]
		switch {
		case other < 0:
			local = append(local, g)
		case waits[other] == 0:
			if p.op(g).Kind != Send {
				g = other
			}
			ready[p.group(g)] = append(ready[p.group(g)], g)
		}
	}
	for g := range waits {
		if waits[g] == 0 && (p.partner[g] < 0 || p.op(int32(g)).Kind == Send) {
			free(int32(g))
		}
	}
	combined := make([]int, p.size) // in this round
	settle := func() {
		for len(local) > 0 {
			g := local[len(local)-1]
			local = local[:len(local)-1]
			combined[p.rankOf[g]] += p.reduces(g)
			p.release(g, waits, free)
		}
		reduction += slices.Max(combined)
		clear(combined)
	}
	settle()
	all = make([]Message, 0, len(p.order))
	for round := 0; len(ready) > 0; round++ {
		for _, g := range p.round(ready) {
			to := p.partner[g]
			all = append(all, p.messageOf(g, round))
			combined[p.rankOf[to]] += p.reduces(to)
			p.release(g, waits, free)
			p.release(to, waits, free)
		}
		settle()
	}
	return all, reduction
}

// reduces returns how many elements operation g combines.
func (p *prover) reduces(g int32) int {
	if op := p.op(g); op.Kind == RecvReduce || op.Kind == LocalReduce {
		return op.Bytes() / p.o.ElemBytes
	}
	return 0
}

// round takes from ready what goes in one round: of the lowest group as much as one port in each
// direction lets through, those first that were ready first.
func (p *prover) round(ready map[int][]int32) (going []int32) {
	lowest, first := 0, true
	for group := range ready {
		if first || group < lowest {
			lowest, first = group, false
		}
	}
	list := ready[lowest]
	sends, recvs := make([]bool, p.size), make([]bool, p.size)
	var rest []int32
	for _, g := range list {
		from, to := p.rankOf[g], p.rankOf[p.partner[g]]
		if sends[from] || recvs[to] {
			rest = append(rest, g)
			continue
		}
		sends[from], recvs[to] = true, true
		going = append(going, g)
	}
	if ready[lowest] = rest; len(rest) == 0 {
		delete(ready, lowest)
	}
	slices.Sort(going)
	return going
}

func (p *prover) messageOf(g int32, round int) Message {
	a, b := p.op(g), p.op(p.partner[g])
	return Message{
		From: int(p.rankOf[g]), To: a.Peer, FromStep: a.Step, ToStep: b.Step, Chunk: a.Chunk,
		Elements: a.Bytes() / p.o.ElemBytes, Round: round,
	}
}
