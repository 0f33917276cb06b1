package schedule

import "slices"

// Mismatch is what happens when some ranks make one call and some another. Frames carry the call
// they belong to, and a rank looks at that as soon as a frame arrives, even one it does not wait
// for.
type Mismatch struct {
	// Seen lists {receiver, sender} for every frame that arrives at a rank in another call.
	Seen [][2]int
	// Waiting lists the ranks that wait for ever, Left those that finish. A rank that sends to one
	// in another call waits.
	Waiting, Left []int
}

// Silent reports whether no rank sees the mismatch although some rank waits for ever: only
// something outside the call can find it, such as a heartbeat that tells each rank's call.
func (m *Mismatch) Silent() bool { return len(m.Seen) == 0 && len(m.Waiting) > 0 }

// SimulateMismatch runs ranks of two different calls against each other: rank r runs b[r] where
// inB[r], else a[r]. Sends wait for their receives, which is the worst case: with more buffering
// more frames are sent and more is seen. It is for programs that Prove accepts; the error is
// Lower's.
func SimulateMismatch(a, b []*Program, inB []bool) (*Mismatch, error) {
	s := &mismatch{
		inB: inB, plans: make([]*Plan, len(a)), waits: make([][]int32, len(a)),
		done: make([]int, len(a)),
	}
	s.next = make([]map[int]*ends, len(a))
	for r := range a {
		program := a[r]
		if inB[r] {
			program = b[r]
		}
		plan, err := Lower(program, 1, wholeSteps)
		if err != nil {
			return nil, err
		}
		s.plans[r], s.waits[r] = plan, slices.Clone(plan.Indegree)
		s.next[r] = make(map[int]*ends, len(plan.Links))
		for k := range plan.Links {
			s.next[r][plan.Links[k].Peer] = &ends{link: &plan.Links[k]}
		}
		for _, i := range plan.Local {
			s.finish(r, i)
		}
	}
	for s.pass() {
	}
	return s.outcome(), nil
}

// ends is how far a rank has come on one link.
type ends struct {
	link         *Link
	sends, recvs int
	seen         bool // the peer saw a frame of another call
}

// mismatch is the state of a simulation.
type mismatch struct {
	inB   []bool
	plans []*Plan
	waits [][]int32
	next  []map[int]*ends
	done  []int // operations finished, by rank
}

// pass moves every frame that can move and reports whether anything did.
func (s *mismatch) pass() bool {
	moved := false
	for r, plan := range s.plans {
		for _, l := range plan.Links {
			for s.move(r, l.Peer) {
				moved = true
			}
		}
	}
	return moved
}

// move sends the next frame from one rank to another if it is free to go.
func (s *mismatch) move(from, to int) bool {
	e := s.next[from][to]
	if e.sends == len(e.link.Sends) {
		return false
	}
	i := e.link.Sends[e.sends]
	if s.waits[from][i] > 0 {
		return false
	}
	if s.inB[from] != s.inB[to] {
		first := !e.seen
		e.seen = true
		return first
	}
	there := s.next[to][from]
	if there == nil || there.recvs == len(there.link.Recvs) {
		return false
	}
	j := there.link.Recvs[there.recvs]
	if s.waits[to][j] > 0 {
		return false
	}
	e.sends++
	there.recvs++
	s.finish(from, i)
	s.finish(to, j)
	return true
}

// finish ends operation i of rank r and the local operations that only waited for it.
func (s *mismatch) finish(r int, i int32) {
	s.done[r]++
	plan := s.plans[r]
	for _, j := range plan.Succ[plan.SuccAt[i]:plan.SuccAt[i+1]] {
		s.waits[r][j]--
		if kind := plan.Ops[j].Kind; s.waits[r][j] == 0 && (kind == Copy || kind == LocalReduce) {
			s.finish(r, j)
		}
	}
}

func (s *mismatch) outcome() *Mismatch {
	m := &Mismatch{}
	for r, plan := range s.plans {
		for _, l := range plan.Links {
			if s.next[r][l.Peer].seen {
				m.Seen = append(m.Seen, [2]int{l.Peer, r})
			}
		}
		if s.done[r] == len(plan.Ops) {
			m.Left = append(m.Left, r)
		} else {
			m.Waiting = append(m.Waiting, r)
		}
	}
	slices.SortFunc(m.Seen, func(x, y [2]int) int { return slices.Compare(x[:], y[:]) })
	return m
}
