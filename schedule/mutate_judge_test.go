package schedule

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// Numbers are taken modulo field, a prime. What a step with Last does is to multiply by completing,
// so that doing it twice, or before the sum is whole, shows.
const (
	field      = 1<<61 - 1
	completing = 0x1234567890abcdef % field
)

func mulField(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	_, rest := bits.Div64(hi%field, lo, field)
	return rest
}

func addField(a, b uint64) uint64 { return (a + b) % field }

// scramble is an operation without any law: it tells every order of combination from every other.
func scramble(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 ^ bits.RotateLeft64(b, 31)*0xbf58476d1ce4e5b9
	return (x ^ x>>29) * 0x94d049bb133111eb
}

// judge runs programs in several orders and tells whether they are right. A nil error means that
// they compute the collective.
func judge(programs []*Program, args []Args, canonical bool, seed uint64) error {
	c := programs[0].Collective
	if err := connected(programs); err != nil {
		return err
	}
	for k := range 6 {
		random := rand.New(rand.NewPCG(seed, uint64(k)))
		chunk := []int{1 << 30, 1, 2}[k%3]
		m, err := newMachine(programs, args, chunk, random)
		if err != nil {
			return err
		}
		m.op = addField
		m.last = func(a uint64) uint64 { return mulField(a, completing) }
		laws := true
		if c.Reduces() && k >= 3 {
			laws = false
			m.op = scramble
			m.last = func(a uint64) uint64 { return scramble(a, 77) }
		}
		if _, err := m.run(random, k%2 == 0, -1); err != nil {
			return err
		}
		if laws {
			err = m.checkNumbers()
		} else {
			err = m.checkOrder(canonical)
		}
		if err != nil {
			return err
		}
	}
	if c == Barrier {
		return judgeBarrier(programs, args, seed)
	}
	return nil
}

// judgeBarrier lets one rank after the other stay away: nobody may then finish.
func judgeBarrier(programs []*Program, args []Args, seed uint64) error {
	for absent := range programs {
		random := rand.New(rand.NewPCG(seed, uint64(absent)))
		m, err := newMachine(programs, args, 1<<30, random)
		if err != nil {
			return err
		}
		finished, _ := m.run(random, true, absent)
		for r, did := range finished {
			if did && r != absent {
				return fmt.Errorf("%w: rank %d leaves without rank %d", errWrong, r, absent)
			}
		}
	}
	return nil
}

// connected checks that frames tie all ranks together.
func connected(programs []*Program) error {
	part := make([]int, len(programs))
	for r := range part {
		part[r] = r
	}
	for r, p := range programs {
		for _, s := range p.Steps {
			if s.Kind == Send && s.Peer >= 0 && s.Peer < len(part) {
				from, to := part[r], part[s.Peer]
				for q := range part {
					if part[q] == from {
						part[q] = to
					}
				}
			}
		}
	}
	for _, q := range part {
		if q != part[0] {
			return fmt.Errorf("%w: ranks apart", errWrong)
		}
	}
	return nil
}

// contribution returns element i of what rank r put in.
func (m *machine) contribution(r, i int) uint64 { return m.initial[r][m.start[r][In]+i] }

// wanted calls want for each element of rank r's Out with what it must be made of: element i of
// rank from, or of every rank where from is -1.
func wanted(c Collective, args []Args, r int, want func(from, i int)) {
	a := args[r]
	before := func(counts []int, q int) (n int) {
		for _, c := range counts[:q] {
			n += c
		}
		return n
	}
	block := func(n, from, first int) {
		for i := range n {
			want(from, first+i)
		}
	}
	switch c {
	case AllReduce:
		block(a.Count, -1, 0)
	case Reduce:
		if r == a.Root {
			block(a.Count, -1, 0)
		}
	case Broadcast:
		block(a.Count, a.Root, 0)
	case Scatter:
		block(a.Counts[r], a.Root, before(a.Counts, r))
	case ReduceScatter:
		block(a.Counts[r], -1, before(a.Counts, r))
	case Gather, AllGather:
		for q := range args {
			if c == AllGather || r == a.Root {
				block(a.Counts[q], q, 0)
			}
		}
	case AllToAll:
		for q := range args {
			block(a.RecvCounts[q], q, before(args[q].SendCounts, r))
		}
	}
}

// checkNumbers compares Out with the result, and the rest of In with what it was.
func (m *machine) checkNumbers() error {
	for r, p := range m.programs {
		var want []uint64
		wanted(p.Collective, m.args, r, func(from, i int) {
			if from >= 0 {
				want = append(want, m.contribution(from, i))
				return
			}
			var total uint64
			for q := range m.programs {
				total = addField(total, m.contribution(q, i))
			}
			if len(m.programs) > 1 {
				total = m.last(total)
			}
			want = append(want, total)
		})
		out := m.start[r][Out]
		if len(want) != p.Layouts[Out].Len() {
			return fmt.Errorf("%w: out of rank %d has another size", errWrong, r)
		}
		for i, w := range want {
			if got := m.memory[r][out+i]; got != w {
				return fmt.Errorf("%w: rank %d has %d at %d, not %d", errWrong, r, got, i, w)
			}
		}
		for i := range p.Layouts[In].Len() {
			e := m.start[r][In] + i
			inOut := e >= out && e < out+len(want)
			if !inOut && m.memory[r][e] != m.initial[r][e] {
				return fmt.Errorf("%w: rank %d changed in at %d", errWrong, r, i)
			}
		}
	}
	return nil
}

// checkOrder compares results of an operation without laws: an AllReduce ends alike on all ranks,
// a canonical one in the order of neighbours first.
func (m *machine) checkOrder(canonical bool) error {
	for r, p := range m.programs {
		if p.Collective != AllReduce && !canonical {
			continue
		}
		e := 0
		var problem error
		wanted(p.Collective, m.args, r, func(_, i int) {
			got := m.memory[r][m.start[r][Out]+e]
			if canonical && got != m.nearFirst(i) ||
				p.Collective == AllReduce && got != m.memory[0][m.start[0][Out]+e] {
				problem = fmt.Errorf("%w: order of element %d on rank %d", errWrong, e, r)
			}
			e++
		})
		if problem != nil {
			return problem
		}
	}
	return nil
}

// nearFirst combines element i of all ranks as recursive doubling with a fold does.
func (m *machine) nearFirst(i int) uint64 {
	size := len(m.programs)
	var v []uint64
	power := 1
	for power*2 <= size {
		power *= 2
	}
	for r := 0; r < size; {
		x := m.contribution(r, i)
		r++
		if len(v) < size-power {
			x = m.op(x, m.contribution(r, i))
			r++
		}
		v = append(v, x)
	}
	for d := 1; d < power; d *= 2 {
		next := make([]uint64, power)
		for k := range v {
			next[k] = m.op(v[min(k, k^d)], v[max(k, k^d)])
		}
		v = next
	}
	if size > 1 {
		return m.last(v[0])
	}
	return v[0]
}
