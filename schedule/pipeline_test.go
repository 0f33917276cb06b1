package schedule_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tutti-ml/tutti/schedule"
)

// turnsOf executes a call one frame at a time: in each turn every rank sends at most one frame and
// receives at most one, whichever are next on their links, and local operations take no time. It
// returns the number of turns.
func turnsOf(a *schedule.Algorithm, s setting, elem, chunk int) (int, error) {
	w := &world[int]{elem: elem}
	left := 0
	for _, args := range s.args() {
		plan, err := schedule.Lower(a.Build(args), elem, chunk)
		if err != nil {
			return 0, err
		}
		w.plans = append(w.plans, plan)
		left += len(plan.Ops)
	}
	w.start()
	for turns := 0; ; turns++ {
		left -= w.completeLocal()
		if left == 0 {
			return turns, nil
		}
		moved := w.turn(turns)
		if moved == 0 {
			return 0, fmt.Errorf("nothing moves in turn %d, %d operations are left", turns, left)
		}
		left -= 2 * moved
	}
}

// completeLocal completes all local operations that can be done and returns their number.
func (w *world[V]) completeLocal() (n int) {
	for again := true; again; {
		again = false
		for r, plan := range w.plans {
			for i := range plan.Ops {
				k := plan.Ops[i].Kind
				if (k == schedule.Copy || k == schedule.LocalReduce) && w.ready[r][i] && !w.done[r][i] {
					w.complete(r, int32(i))
					again = true
					n++
				}
			}
		}
	}
	return n
}

// turn moves a set of frames that are ready on both sides, none of which share a sender or a
// receiver, and returns their number. Lower chunks go first; ranks take turns in being first.
func (w *world[V]) turn(number int) (moved int) {
	type frame struct {
		from, to   int
		send, recv int32
		chunk      int
	}
	var frames []frame
	for k := range w.plans {
		r := (k + number) % len(w.plans)
		for _, l := range w.plans[r].Links {
			n := w.sent[[2]int{r, l.Peer}]
			if n == len(l.Sends) {
				continue
			}
			f := frame{from: r, to: l.Peer, send: l.Sends[n], recv: w.recvs(l.Peer, r)[n]}
			f.chunk = w.plans[r].Ops[f.send].Chunk
			if w.ready[f.from][f.send] && w.ready[f.to][f.recv] {
				frames = append(frames, f)
			}
		}
	}
	slices.SortStableFunc(frames, func(a, b frame) int { return a.chunk - b.chunk })
	sends, receives := make([]bool, len(w.plans)), make([]bool, len(w.plans))
	for _, f := range frames {
		if sends[f.from] || receives[f.to] {
			continue
		}
		sends[f.from], receives[f.to] = true, true
		w.sent[[2]int{f.from, f.to}]++
		w.complete(f.from, f.send)
		w.complete(f.to, f.recv)
		moved++
	}
	return moved
}

// TestPipelines checks that pipelines flow: that their frames take little more turns than Cost
// says, which counts bytes, whatever the number of ranks. A program whose frames wait for each other
// in the wrong order takes several times as many.
func TestPipelines(t *testing.T) {
	const segments, elem, chunk = 32, 4, 64
	everyAlgorithm(t, func(t *testing.T, a *schedule.Algorithm) {
		if !a.Pipelined {
			t.Skip("not pipelined")
		}
		for size := 2; size <= 32; size++ {
			s := setting{
				collective: a.Collective, size: size, root: size / 2, count: 2 * segments * chunk / elem,
				hosts: hostsOf(size, 0),
			}
			for range size {
				s.counts = append(s.counts, 4*chunk/elem)
			}
			if a.Applies != nil && a.Applies(s.args()[0]) != nil {
				continue
			}
			turns, err := turnsOf(a, s, elem, chunk)
			if err != nil {
				t.Fatal(err)
			}
			predicted := a.Cost(s.args()[0], elem, chunk).Bytes / chunk
			t.Logf("size %d: %d turns, %g predicted", size, turns, predicted)
			if float64(turns) > 1.5*predicted {
				t.Errorf("size %d: %d turns, but %g predicted", size, turns, predicted)
			}
		}
	})
}
