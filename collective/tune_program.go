package collective

import (
	"slices"

	"github.com/tutti-ml/tutti/schedule"
)

// exchangeProgram is this rank's program: hops messages around the ring, from either buffer in
// turn.
func exchangeProgram(
	rank, size int, ring []int, coll schedule.Collective, count, hops int,
) *schedule.Program {
	p := &schedule.Program{Collective: coll, Algorithm: "probe", Rank: rank, Size: size}
	if len(ring) == 0 {
		return p
	}
	whole := schedule.Layout{0, count}
	p.Layouts[schedule.In], p.Layouts[schedule.Out] = whole, whole
	at, n := slices.Index(ring, rank), len(ring)
	next, last := ring[(at+1)%n], ring[(at+n-1)%n]
	from, to := schedule.Span{Buf: schedule.In, N: 1}, schedule.Span{Buf: schedule.Out, N: 1}
	for hop := range hops {
		p.Steps = append(p.Steps, schedule.Step{Kind: schedule.Send, Peer: next, A: from, Group: hop})
		s := schedule.Step{Kind: schedule.Recv, Peer: last, Dst: to, Group: hop}
		if coll.Reduces() {
			s.Kind, s.A = schedule.RecvReduce, to
		}
		p.Steps = append(p.Steps, s)
		from, to = to, from
	}
	return p
}

// relayProgram is this rank's program: the first rank of the ring sends, and every other one sends on
// what it has received.
func relayProgram(rank, size int, ring []int, count int) *schedule.Program {
	p := &schedule.Program{
		Collective: schedule.AllGather, Algorithm: "probe", Rank: rank, Size: size,
	}
	if len(ring) == 0 {
		return p
	}
	p.Layouts[schedule.In] = schedule.Layout{0, count}
	p.Layouts[schedule.Out] = p.Layouts[schedule.In]
	at, n := slices.Index(ring, rank), len(ring)
	next, last := ring[(at+1)%n], ring[(at+n-1)%n]
	send := schedule.Step{Kind: schedule.Send, Peer: next, A: schedule.Span{Buf: schedule.Out, N: 1}}
	recv := schedule.Step{Kind: schedule.Recv, Peer: last, Dst: schedule.Span{Buf: schedule.Out, N: 1}}
	if at == 0 {
		send.A.Buf, recv.Group = schedule.In, 1
		p.Steps = []schedule.Step{send, recv}
		return p
	}
	send.Group = 1
	p.Steps = []schedule.Step{recv, send}
	return p
}

// severalProgram is this rank's program: in each hop a message to each of the next ranks of the ring,
// and one from each of the last ones.
func severalProgram(rank, size int, ring []int, count, hops int) *schedule.Program {
	p := &schedule.Program{
		Collective: schedule.AllGather, Algorithm: "probe", Rank: rank, Size: size,
	}
	if len(ring) == 0 {
		return p
	}
	at, n := slices.Index(ring, rank), len(ring)
	for i := range severalOf(n) + 1 {
		p.Layouts[schedule.In] = append(p.Layouts[schedule.In], i*count)
	}
	p.Layouts[schedule.Out] = p.Layouts[schedule.In]
	from, to := schedule.In, schedule.Out
	for hop := range hops {
		for i := range severalOf(n) {
			next, last := ring[(at+1+i)%n], ring[(at+n-1-i)%n]
			p.Steps = append(p.Steps, schedule.Step{
				Kind: schedule.Send, Peer: next, A: schedule.Span{Buf: from, Block: i, N: 1}, Group: hop,
			}, schedule.Step{
				Kind: schedule.Recv, Peer: last, Dst: schedule.Span{Buf: to, Block: i, N: 1}, Group: hop,
			})
		}
		from, to = to, from
	}
	return p
}
