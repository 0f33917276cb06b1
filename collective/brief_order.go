package collective

import (
	"slices"

	"github.com/tutti-ml/tutti/schedule"
)

// briefOrder finds the order in which one goroutine best runs the operations of a plan: it sends what
// it can before it waits for anything, so that messages to several ranks, and theirs, are under way
// at the same time. A program alternates sends and receives, for whose order it does not care.
type briefOrder struct {
	plan    *schedule.Plan
	place   []briefPlace // of each operation
	pending []int32      // operations that it still waits for, below 0 when it was taken
	sends   []int        // of each link: frames sent and received
	recvs   []int
}

// briefPlace is where an operation's frame is: the link, among those of the plan, and its number on it.
type briefPlace struct {
	link  int
	frame uint32
}

func newBriefOrder(p *schedule.Plan) *briefOrder {
	s := &briefOrder{
		plan: p, place: make([]briefPlace, len(p.Ops)), pending: slices.Clone(p.Indegree),
		sends: make([]int, len(p.Links)), recvs: make([]int, len(p.Links)),
	}
	for k, l := range p.Links {
		for _, frames := range [][]int32{l.Sends, l.Recvs} {
			for n, i := range frames {
				s.place[i] = briefPlace{k, uint32(n)}
			}
		}
	}
	return s
}

// next takes an operation: a send if one may run, else a local one, else the first receive.
func (s *briefOrder) next() int32 {
	best := int32(-1)
	for i := range s.pending {
		if s.mayRun(i) && (best < 0 || s.rank(i) < s.rank(int(best))) {
			best = int32(i)
		}
	}
	s.pending[best] = -1
	for _, succ := range s.plan.Succ[s.plan.SuccAt[best]:s.plan.SuccAt[best+1]] {
		s.pending[succ]--
	}
	switch at := s.place[best].link; s.plan.Ops[best].Kind {
	case schedule.Send:
		s.sends[at]++
	case schedule.Recv, schedule.RecvReduce:
		s.recvs[at]++
	}
	return best
}

// mayRun reports whether nothing has to run before an operation, its link's frames before it included.
func (s *briefOrder) mayRun(i int) bool {
	at := s.place[i]
	switch s.plan.Ops[i].Kind {
	case schedule.Send:
		return s.pending[i] == 0 && s.sends[at.link] == int(at.frame)
	case schedule.Recv, schedule.RecvReduce:
		return s.pending[i] == 0 && s.recvs[at.link] == int(at.frame)
	}
	return s.pending[i] == 0
}

func (s *briefOrder) rank(i int) int {
	switch s.plan.Ops[i].Kind {
	case schedule.Send:
		return 0
	case schedule.Recv, schedule.RecvReduce:
		return 2
	}
	return 1
}
