package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// This file is a second, deliberately dumb reading of what programs mean: it runs them on numbers,
// element by element, and shares nothing with the lowering or the prover. It is the judge of the
// prover's verdicts.

// machine runs the programs of all ranks of a call.
type machine struct {
	programs []*Program
	args     []Args
	op       func(a, b uint64) uint64
	last     func(a uint64) uint64
	memory   [][]uint64 // by rank: in, out and scratch one behind the other, or in over out
	start    [][Buffers]int
	initial  [][]uint64
	tasks    [][]task
}

// task is a chunk of a step: the unit that happens at once.
type task struct {
	step       *Step
	index, cut int
	dst, a, b  []int // addresses
	after      []int // tasks of the same rank that must be done before
	done       bool
}

var (
	errHang  = errors.New("hangs")
	errWrong = errors.New("wrong")
)

// newMachine fills the memories with numbers and cuts steps into chunks of chunk elements.
func newMachine(programs []*Program, args []Args, chunk int, random *rand.Rand) (*machine, error) {
	m := &machine{programs: programs, args: args}
	for r, q := range programs {
		in, out := q.Layouts[In].Len(), q.Layouts[Out].Len()
		start := [Buffers]int{0, in, in + out}
		if args[r].InPlace {
			start = inPlaceStart(q.Collective, args[r])
			start[Scratch] = max(start[In]+in, start[Out]+out)
		}
		memory := make([]uint64, start[Scratch]+q.Layouts[Scratch].Len())
		for i := range memory {
			memory[i] = random.Uint64N(field)
		}
		m.memory = append(m.memory, memory)
		m.initial = append(m.initial, slices.Clone(memory))
		m.start = append(m.start, start)
		tasks, err := m.cut(r, chunk)
		if err != nil {
			return nil, err
		}
		m.tasks = append(m.tasks, tasks)
	}
	return m, nil
}

func inPlaceStart(c Collective, a Args) (start [Buffers]int) {
	own := 0
	for r := range a.Rank {
		if r < len(a.Counts) {
			own += a.Counts[r]
		}
	}
	switch {
	case c == ReduceScatter, c == Scatter && a.Rank == a.Root:
		start[Out] = own
	case c == AllGather, c == Gather && a.Rank == a.Root:
		start[In] = own
	}
	return start
}

// addresses lists the elements of a span.
func (m *machine) addresses(r int, s Span) ([]int, error) {
	if s.Buf >= Buffers {
		return nil, errWrong
	}
	l := m.programs[r].Layouts[s.Buf]
	if s.N < 0 || s.N > l.Blocks() || (s.N > 0 && (s.Block < 0 || s.Block >= l.Blocks())) {
		return nil, errWrong
	}
	list := []int{}
	for k := range s.N {
		block := (s.Block + k) % l.Blocks()
		if l[block] < 0 || l[block] > l[block+1] || l[block+1] > l.Len() {
			return nil, errWrong
		}
		for e := l[block]; e < l[block+1]; e++ {
			list = append(list, m.start[r][s.Buf]+e)
		}
	}
	return list, nil
}

// cut makes the tasks of rank r and what each must wait for.
func (m *machine) cut(r, chunk int) (tasks []task, err error) {
	for i := range m.programs[r].Steps {
		s := &m.programs[r].Steps[i]
		reduces := s.Kind == RecvReduce || s.Kind == LocalReduce
		if reduces && !m.programs[r].Collective.Reduces() {
			return nil, errWrong // the call has no operation
		}
		var spans [3][]int
		n := -1
		for k, sp := range []Span{s.Dst, s.A, s.B} {
			if used := map[Kind][3]bool{
				Send: {1: true}, Recv: {0: true}, RecvReduce: {0: true, 1: true},
				LocalReduce: {true, true, true}, Copy: {0: true, 1: true},
			}[s.Kind]; !used[k] {
				continue
			}
			if spans[k], err = m.addresses(r, sp); err != nil {
				return nil, err
			}
			if n >= 0 && len(spans[k]) != n {
				return nil, errWrong
			}
			n = len(spans[k])
		}
		for at := 0; at == 0 || at < n; at += chunk {
			t := task{step: s, index: i, cut: at / chunk}
			for k, to := range []*[]int{&t.dst, &t.a, &t.b} {
				if spans[k] != nil {
					*to = spans[k][at:min(n, at+chunk)]
				}
			}
			tasks = append(tasks, t)
		}
	}
	m.sequence(r, tasks)
	return tasks, nil
}

// sequence fills after: tasks that touch an address that one of them writes stay in their order.
func (m *machine) sequence(r int, tasks []task) {
	touch := func(t *task) (reads, writes []bool) {
		reads, writes = make([]bool, len(m.memory[r])), make([]bool, len(m.memory[r]))
		for _, e := range slices.Concat(t.a, t.b) {
			reads[e] = true
		}
		for _, e := range t.dst {
			writes[e] = true
		}
		return reads, writes
	}
	for j := range tasks {
		reads, writes := touch(&tasks[j])
		for i := range j {
			reads2, writes2 := touch(&tasks[i])
			for e := range reads {
				if writes[e] && (reads2[e] || writes2[e]) || reads[e] && writes2[e] {
					tasks[j].after = append(tasks[j].after, i)
					break
				}
			}
		}
	}
}

// queue lists the tasks of rank r that send to peer, or receive from it, in the order of frames.
func (m *machine) queue(r, peer int, send bool) (list []*task) {
	for i := range m.tasks[r] {
		t := &m.tasks[r][i]
		remote := t.step.Kind == Send || t.step.Kind == Recv || t.step.Kind == RecvReduce
		if remote && t.step.Peer == peer && (t.step.Kind == Send) == send {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b *task) int {
		return cmp.Or(a.step.Group-b.step.Group, a.cut-b.cut, a.index-b.index)
	})
	return list
}

// do executes a task of rank r with the numbers it received.
func (m *machine) do(r int, t *task, frame []uint64) {
	t.done = true
	memory := m.memory[r]
	results := make([]uint64, len(t.dst))
	for i := range t.dst {
		switch t.step.Kind {
		case Recv:
			results[i] = frame[i]
		case Copy:
			results[i] = memory[t.a[i]]
		case RecvReduce, LocalReduce:
			x := memory[t.a[i]]
			var y uint64
			if t.step.Kind == RecvReduce {
				y = frame[i]
			} else {
				y = memory[t.b[i]]
			}
			if t.step.Left {
				x, y = y, x
			}
			results[i] = m.op(x, y)
			if t.step.Last {
				results[i] = m.last(results[i])
			}
		}
	}
	for i, e := range t.dst {
		memory[e] = results[i]
	}
}

func (m *machine) free(r int, t *task) bool {
	for _, i := range t.after {
		if !m.tasks[r][i].done {
			return false
		}
	}
	return !t.done
}

// wire is one direction between two ranks, with what is still to be sent, received and on its way.
type wire struct {
	from, to     int
	sends, recvs []*task
	frames       [][]uint64
}

func (m *machine) wires() (all []*wire) {
	for from := range m.programs {
		for to := range m.programs {
			if from != to {
				all = append(all, &wire{
					from: from, to: to, sends: m.queue(from, to, true), recvs: m.queue(to, from, false),
				})
			}
		}
	}
	return all
}

// push sends the next frame of a wire.
func (m *machine) push(w *wire) {
	var frame []uint64
	for _, e := range w.sends[0].a {
		frame = append(frame, m.memory[w.from][e])
	}
	w.frames = append(w.frames, frame)
	m.do(w.from, w.sends[0], nil)
	w.sends = w.sends[1:]
}

// pull receives the first frame on a wire.
func (m *machine) pull(w *wire) error {
	frame := w.frames[0]
	if len(frame) != len(w.recvs[0].dst) {
		return fmt.Errorf("%w: frame of another size", errWrong)
	}
	m.do(w.to, w.recvs[0], frame)
	w.frames, w.recvs = w.frames[1:], w.recvs[1:]
	return nil
}

// moves lists what can happen next.
func (m *machine) moves(wires []*wire, buffers bool, absent int) (all []func() error) {
	for r := range m.tasks {
		for i := range m.tasks[r] {
			t := &m.tasks[r][i]
			local := t.step.Kind == Copy || t.step.Kind == LocalReduce
			if local && r != absent && m.free(r, t) {
				all = append(all, func() error { m.do(r, t, nil); return nil })
			}
		}
	}
	for _, w := range wires {
		send := len(w.sends) > 0 && w.from != absent && m.free(w.from, w.sends[0])
		recv := len(w.recvs) > 0 && w.to != absent && m.free(w.to, w.recvs[0])
		switch {
		case !buffers && send && recv:
			all = append(all, func() error { m.push(w); return m.pull(w) })
		case buffers && send:
			all = append(all, func() error { m.push(w); return nil })
		}
		if buffers && recv && len(w.frames) > 0 {
			all = append(all, func() error { return m.pull(w) })
		}
	}
	return all
}

// run executes everything in a random order. Without buffers a message happens at one instant;
// with them a send leaves its frame on the wire. A rank in absent never starts. It returns the
// ranks that finished, and errHang when one that started did not.
func (m *machine) run(random *rand.Rand, buffers bool, absent int) ([]bool, error) {
	wires := m.wires()
	for {
		moves := m.moves(wires, buffers, absent)
		if len(moves) == 0 {
			break
		}
		if err := moves[random.IntN(len(moves))](); err != nil {
			return nil, err
		}
	}
	finished := make([]bool, len(m.programs))
	var err error
	for r := range finished {
		finished[r] = !slices.ContainsFunc(m.tasks[r], func(t task) bool { return !t.done })
		if !finished[r] && r != absent {
			err = errHang
		}
	}
	for _, w := range wires {
		if len(w.frames) > 0 && absent < 0 {
			err = errHang // a frame that nobody takes
		}
	}
	return finished, err
}
