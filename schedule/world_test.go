package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/tutti-ml/tutti/schedule"
)

// setting is a call as all ranks make it.
type setting struct {
	collective schedule.Collective
	size, root int
	count      int   // AllReduce, Broadcast, Reduce; AllToAll with equal blocks
	counts     []int // one for each rank
	inPlace    bool
	hosts      []int
}

func (s setting) String() string {
	return fmt.Sprintf("%s size %d root %d count %d counts %v in place %v hosts %v",
		s.collective, s.size, s.root, s.count, s.counts, s.inPlace, s.hosts)
}

// cell is the number of elements that rank i sends rank j in an AllToAll. In place the two must
// send each other the same.
func (s setting) cell(i, j int) int {
	if s.count > 0 {
		return s.count
	}
	if s.inPlace {
		i, j = min(i, j), max(i, j)
	}
	return s.counts[(i+2*j)%s.size]
}

// args returns the arguments of every rank.
func (s setting) args() []schedule.Args {
	all := make([]schedule.Args, s.size)
	for r := range all {
		a := schedule.Args{
			Rank: r, Size: s.size, Root: s.root, Count: s.count, InPlace: s.inPlace, Hosts: s.hosts,
		}
		switch s.collective {
		case schedule.Scatter, schedule.Gather, schedule.AllGather, schedule.ReduceScatter:
			a.Counts = s.counts
		case schedule.AllToAll:
			for q := range s.size {
				a.SendCounts = append(a.SendCounts, s.cell(r, q))
				a.RecvCounts = append(a.RecvCounts, s.cell(q, r))
			}
		}
		all[r] = a
	}
	return all
}

// world is a set of ranks that run the plans of one call on elements of type V, one operation after
// the other in some order that the plans allow.
type world[V any] struct {
	plans  []*schedule.Plan
	memory [][schedule.Buffers][]V
	elem   int // bytes of an element in the plans
	op     func(a, b V) V
	finish func(V) V
	// eager lets a send be done before its receive has started; else both are one event.
	eager bool

	waits   [][]int32
	ready   [][]bool // operations whose memory is free
	done    [][]bool
	sent    map[[2]int]int
	got     map[[2]int]int
	flights map[[2]int][][]V
}

// memories returns buffers for rank r's program: In holds what value says, all else is junk. In
// place the buffers lie over each other as Args.InPlace says.
func memories[V any](p *schedule.Program, junk V, value func(rank, i int) V) [schedule.Buffers][]V {
	var m [schedule.Buffers][]V
	for b, l := range p.Layouts {
		m[b] = slices.Repeat([]V{junk}, l.Len())
	}
	in, out := p.Layouts[schedule.In], p.Layouts[schedule.Out]
	if p.InPlace && in != nil && out != nil {
		switch p.Collective {
		case schedule.Scatter, schedule.ReduceScatter:
			m[schedule.Out] = m[schedule.In][in[p.Rank]:in[p.Rank+1]]
		case schedule.Gather, schedule.AllGather:
			m[schedule.In] = m[schedule.Out][out[p.Rank]:out[p.Rank+1]]
		default:
			m[schedule.Out] = m[schedule.In]
		}
	}
	for i := range m[schedule.In] {
		m[schedule.In][i] = value(p.Rank, i)
	}
	return m
}

func (w *world[V]) start() {
	w.sent, w.got = map[[2]int]int{}, map[[2]int]int{}
	w.flights = map[[2]int][][]V{}
	for _, pl := range w.plans {
		ready := make([]bool, len(pl.Ops))
		for i, n := range pl.Indegree {
			ready[i] = n == 0
		}
		w.waits = append(w.waits, slices.Clone(pl.Indegree))
		w.ready = append(w.ready, ready)
		w.done = append(w.done, make([]bool, len(pl.Ops)))
	}
}

// run executes all plans in an order drawn from x and returns an error if they stop before the end.
func (w *world[V]) run(x *rand.Rand) error {
	w.start()
	for progress := true; progress; {
		progress = false
		for _, r := range x.Perm(len(w.plans)) {
			for k := range w.plans[r].Links {
				progress = w.transfer(r, &w.plans[r].Links[k]) || progress
			}
			for _, i := range x.Perm(len(w.plans[r].Ops)) {
				progress = w.local(r, int32(i)) || progress
			}
		}
	}
	for r, done := range w.done {
		if i := slices.Index(done, false); i >= 0 {
			op := &w.plans[r].Ops[i]
			return fmt.Errorf("rank %d never does step %d chunk %d: %s, peer %d",
				r, op.Step, op.Chunk, op.Kind, op.Peer)
		}
	}
	return nil
}

// transfer moves the next frame from rank r over a link, as far as it can.
func (w *world[V]) transfer(r int, l *schedule.Link) (progress bool) {
	way := [2]int{r, l.Peer}
	if w.eager {
		if n := w.sent[way]; n < len(l.Sends) && w.ready[r][l.Sends[n]] {
			op := &w.plans[r].Ops[l.Sends[n]]
			w.flights[way] = append(w.flights[way], w.read(r, op.A))
			w.sent[way]++
			w.complete(r, l.Sends[n])
			progress = true
		}
	}
	n := w.got[way]
	recvs := w.recvs(l.Peer, r)
	if n >= len(recvs) || !w.ready[l.Peer][recvs[n]] {
		return progress
	}
	switch {
	case w.eager && n < len(w.flights[way]):
		w.receive(l.Peer, recvs[n], w.flights[way][n])
	case !w.eager && n < len(l.Sends) && w.ready[r][l.Sends[n]]:
		w.receive(l.Peer, recvs[n], w.read(r, w.plans[r].Ops[l.Sends[n]].A))
		w.complete(r, l.Sends[n])
	default:
		return progress
	}
	w.got[way]++
	return true
}

func (w *world[V]) recvs(r, from int) []int32 {
	for _, l := range w.plans[r].Links {
		if l.Peer == from {
			return l.Recvs
		}
	}
	return nil
}

func (w *world[V]) receive(r int, i int32, message []V) {
	op := &w.plans[r].Ops[i]
	if op.Kind == schedule.RecvReduce {
		message = w.combine(op, w.read(r, op.A), message)
	}
	w.write(r, op.Dst, message)
	w.complete(r, i)
}

// local executes operation i of rank r if it needs no peer and its turn has come.
func (w *world[V]) local(r int, i int32) bool {
	op := &w.plans[r].Ops[i]
	if w.done[r][i] || !w.ready[r][i] {
		return false
	}
	switch op.Kind {
	case schedule.Copy:
		w.write(r, op.Dst, w.read(r, op.A))
	case schedule.LocalReduce:
		w.write(r, op.Dst, w.combine(op, w.read(r, op.A), w.read(r, op.B)))
	default:
		return false
	}
	w.complete(r, i)
	return true
}

func (w *world[V]) combine(op *schedule.Op, a, b []V) []V {
	if len(a) != len(b) {
		panic(fmt.Sprintf("%d elements and %d", len(a), len(b)))
	}
	if op.Left {
		a, b = b, a
	}
	sum := make([]V, len(a))
	for i := range sum {
		sum[i] = w.op(a[i], b[i])
		if op.Last {
			sum[i] = w.finish(sum[i])
		}
	}
	return sum
}

func (w *world[V]) complete(r int, i int32) {
	pl := w.plans[r]
	w.done[r][i] = true
	for _, next := range pl.Succ[pl.SuccAt[i]:pl.SuccAt[i+1]] {
		if w.waits[r][next]--; w.waits[r][next] == 0 {
			w.ready[r][next] = true
		}
	}
}

func (w *world[V]) read(r int, region schedule.Region) []V {
	var all []V
	for _, pc := range region.Pieces {
		all = append(all, w.memory[r][region.Buf][pc.Off/w.elem:(pc.Off+pc.Len)/w.elem]...)
	}
	return all
}

func (w *world[V]) write(r int, region schedule.Region, all []V) {
	if region.Len() != len(all)*w.elem {
		panic(fmt.Sprintf("%d elements into %d bytes", len(all), region.Len()))
	}
	for _, pc := range region.Pieces {
		n := copy(w.memory[r][region.Buf][pc.Off/w.elem:(pc.Off+pc.Len)/w.elem], all)
		all = all[n:]
	}
}

// compute builds, lowers and runs a call; it returns each rank's memory.
func compute[V any](
	a *schedule.Algorithm, s setting, w *world[V], junk V, value func(rank, i int) V,
	chunkBytes int, x *rand.Rand,
) error {
	for _, args := range s.args() {
		if err := args.Check(s.collective); err != nil {
			return err
		}
		p := a.Build(args)
		plan, err := schedule.Lower(p, w.elem, chunkBytes)
		if err != nil {
			return err
		}
		w.plans = append(w.plans, plan)
		w.memory = append(w.memory, memories(p, junk, value))
	}
	return w.run(x)
}
