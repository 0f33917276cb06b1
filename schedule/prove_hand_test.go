package schedule

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// exchange is an all-reduce of two ranks: each sends its vector and combines what it receives,
// rank 0's contribution on the left.
func exchange() ([]*Program, []Args) {
	programs, args := make([]*Program, 2), make([]Args, 2)
	for r := range programs {
		whole := Layout{0, 3}
		in, out := Span{In, 0, 1}, Span{Out, 0, 1}
		programs[r] = &Program{
			Collective: AllReduce, Algorithm: "exchange", Rank: r, Size: 2,
			Layouts: [Buffers]Layout{In: whole, Out: whole},
			Steps: []Step{
				{Kind: Send, Peer: 1 - r, A: in},
				{Kind: RecvReduce, Peer: 1 - r, Dst: out, A: in, Left: r == 1, Last: true},
			},
		}
		args[r] = Args{Rank: r, Size: 2, Count: 3}
	}
	return programs, args
}

// turnstile is a barrier of size ranks: a token goes once round and once more, so that each rank
// knows that all are there. Scratch holds the token.
func turnstile(size int) ([]*Program, []Args) {
	programs, args := make([]*Program, size), make([]Args, size)
	for r := range programs {
		token := Span{Scratch, 0, 1}
		p := &Program{
			Collective: Barrier, Algorithm: "turnstile", Rank: r, Size: size,
			Layouts: [Buffers]Layout{Scratch: {0, 1}},
		}
		next, before := (r+1)%size, (r+size-1)%size
		pass := []Step{{Kind: Recv, Peer: before, Dst: token}, {Kind: Send, Peer: next, A: token}}
		if r == 0 {
			pass[0], pass[1] = pass[1], pass[0]
		}
		p.Steps = append(pass, pass...)
		programs[r], args[r] = p, Args{Rank: r, Size: size}
	}
	return programs, args
}

func TestProveHandMade(t *testing.T) {
	for name, make := range map[string]func() ([]*Program, []Args){
		"exchange": exchange, "turnstile": func() ([]*Program, []Args) { return turnstile(5) },
	} {
		programs, args := make()
		proof, err := Prove(programs, ProveOptions{Args: args, Orders: 3, Canonical: true})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "exchange" && (proof.Order != "(0+1)" || proof.Orders != 1 || proof.Rounds != 1 ||
			proof.Volume != 3 || proof.Max.Reduced != 3 || !proof.OnePorted) {
			t.Errorf("exchange: %+v", proof)
		}
		if name == "turnstile" && (proof.Rounds != 10 || proof.Volume != 10) {
			t.Errorf("turnstile: %+v", proof)
		}
	}
}

// rejection is a damage to a correct call and the error that must come of it.
type rejection struct {
	name       string
	check      Property
	rank, step int
	detail     string
	damage     func(p []*Program, a []Args)
}

var rejections = []rejection{
	{
		"no program", PropertyShape, 1, -1, "no program",
		func(p []*Program, _ []Args) { p[1] = nil },
	},
	{
		"another rank's", PropertyShape, 1, -1, "stand at place 1",
		func(p []*Program, _ []Args) { p[1].Rank = 0 },
	},
	{
		"another algorithm", PropertyShape, 1, -1, "rank 0 has allreduce exchange",
		func(p []*Program, _ []Args) { p[1].Algorithm = "ring" },
	},
	{
		"in place", PropertyShape, 1, -1, "in place: true",
		func(p []*Program, _ []Args) { p[1].InPlace = true },
	},
	{
		"another count", PropertyShape, 1, -1, "other counts",
		func(_ []*Program, a []Args) { a[1].Count = 4 },
	},
	{
		"send-receive", PropertyShape, 0, -1, "no proof is known",
		func(p []*Program, _ []Args) { p[0].Collective, p[1].Collective = SendRecv, SendRecv },
	},
	{
		"layout falls", PropertyShape, 0, -1, "layout of scratch",
		func(p []*Program, _ []Args) { p[0].Layouts[Scratch] = Layout{0, 2, 1} },
	},
	{
		"layout starts late", PropertyShape, 0, -1, "layout of out",
		func(p []*Program, _ []Args) { p[0].Layouts[Out] = Layout{1, 3} },
	},
	{
		"out too short", PropertyShape, 1, -1, "in and out have 3 and 2",
		func(p []*Program, _ []Args) { p[1].Layouts[Out] = Layout{0, 2} },
	},
	{
		"unknown kind", PropertyShape, 0, 0, "unknown kind(9)",
		func(p []*Program, _ []Args) { p[0].Steps[0].Kind = 9 },
	},
	{
		"zero kind", PropertyShape, 0, 0, "unknown kind(0)",
		func(p []*Program, _ []Args) { p[0].Steps[0].Kind = 0 },
	},
	{
		"peer is itself", PropertyShape, 1, 0, "peer 1 of 2",
		func(p []*Program, _ []Args) { p[1].Steps[0].Peer = 1 },
	},
	{
		"peer too high", PropertyShape, 1, 0, "peer 2 of 2",
		func(p []*Program, _ []Args) { p[1].Steps[0].Peer = 2 },
	},
	{
		"Last on a send", PropertyShape, 1, 0, "combines nothing",
		func(p []*Program, _ []Args) { p[1].Steps[0].Last = true },
	},
	{
		"unused span", PropertyShape, 0, 0, "does not use B",
		func(p []*Program, _ []Args) { p[0].Steps[0].B.N = 1 },
	},
	{
		"block too high", PropertyShape, 0, 0, "behind the last",
		func(p []*Program, _ []Args) { p[0].Steps[0].A.Block = 1 },
	},
	{
		"too many blocks", PropertyShape, 0, 0, "not so many",
		func(p []*Program, _ []Args) { p[0].Steps[0].A.N = 2 },
	},
	{
		"unknown buffer", PropertyShape, 0, 0, "no such buffer",
		func(p []*Program, _ []Args) { p[0].Steps[0].A.Buf = 3 },
	},
	{
		"unequal spans", PropertyShape, 0, 1, "has 0 bytes",
		func(p []*Program, _ []Args) { p[0].Steps[1].A.N = 0 },
	},
	{
		"writes in", PropertyShape, 0, 1, "writes in",
		func(p []*Program, _ []Args) { p[0].Steps[1].Dst.Buf = In },
	},
	{
		"partly over", PropertyShape, 0, 2, "partly over A",
		func(p []*Program, _ []Args) {
			p[0].Layouts[Scratch] = Layout{0, 1, 3, 4}
			p[0].Steps = append(p[0].Steps,
				Step{Kind: Copy, Dst: Span{Scratch, 0, 2}, A: Span{Scratch, 1, 2}})
		},
	},
	{
		"frame missing", PropertyShape, 0, -1, "sends 0 frames to rank 1, which receives 1",
		func(p []*Program, _ []Args) { p[0].Steps = p[0].Steps[1:] },
	},
	{
		"one-way frame", PropertyShape, 1, -1, "receives 1 frames from rank 0",
		func(p []*Program, _ []Args) { p[0].Steps, p[1].Steps = p[0].Steps[:0], p[1].Steps[1:] },
	},
	{
		"frame too small", PropertyShape, 0, 0, "has 0 bytes, but 3",
		func(p []*Program, _ []Args) { p[0].Steps[0].A.N = 0 },
	},
	{
		"groups apart", PropertyShape, 0, 2, "shares a group",
		func(p []*Program, _ []Args) {
			for _, q := range p {
				q.Steps = append(q.Steps, q.Steps[0],
					Step{Kind: Recv, Peer: q.Steps[0].Peer, Dst: Span{Out, 0, 1}})
			}
			p[0].Steps[2].Group = 1
		},
	},
	{
		"everybody waits", PropertyDeadlock, -1, -1, "rank 1 step",
		func(p []*Program, _ []Args) {
			for _, q := range p {
				q.Steps[0].A.Buf = Out
				q.Steps[0], q.Steps[1] = q.Steps[1], q.Steps[0]
			}
		},
	},
	{
		"undefined sent", PropertyValue, 1, 0, "reads undefined",
		func(p []*Program, _ []Args) { p[1].Steps[0].A.Buf = Out },
	},
	{
		"own sum twice", PropertyValue, 0, 2, "counts rank 0 twice",
		func(p []*Program, _ []Args) {
			out := Span{Out, 0, 1}
			p[0].Steps[1].Last = false
			p[0].Steps = append(p[0].Steps,
				Step{Kind: LocalReduce, Dst: out, A: out, B: Span{In, 0, 1}})
		},
	},
	{
		"never complete", PropertyValue, 1, -1, "never completed",
		func(p []*Program, _ []Args) { p[1].Steps[1].Last = false },
	},
	{
		"other's left out", PropertyValue, 1, -1, "has only 0",
		func(p []*Program, _ []Args) {
			p[1].Steps[1] = Step{Kind: Recv, Peer: 0, Dst: Span{Out, 0, 1}}
		},
	},
	{
		"elements mixed", PropertyValue, 1, 1, "combines elements 0 and 1",
		func(p []*Program, _ []Args) {
			for _, q := range p {
				q.Layouts = [Buffers]Layout{In: {0, 1, 2, 3}, Out: {0, 1, 2, 3}}
				q.Steps[0].A.N, q.Steps[1].Dst.N, q.Steps[1].A.N = 3, 3, 3
			}
			p[0].Steps[0].A.Block = 1
		},
	},
	{
		"order turned over", PropertyOrder, 1, -1, "(1+0) and (0+1)",
		func(p []*Program, _ []Args) { p[1].Steps[1].Left = false },
	},
}

// TestProveRejects damages a correct call in one way each and looks at the error.
func TestProveRejects(t *testing.T) {
	for _, tc := range rejections {
		t.Run(tc.name, func(t *testing.T) {
			programs, args := exchange()
			tc.damage(programs, args)
			_, err := Prove(programs, ProveOptions{Args: args})
			var e *ProofError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a *ProofError", err)
			}
			if e.Check != tc.check || !strings.Contains(e.Detail, tc.detail) ||
				tc.rank >= 0 && (e.Rank != tc.rank || e.Step != tc.step) {
				t.Errorf("got %v, want %s of rank %d step %d with %q",
					e, tc.check, tc.rank, tc.step, tc.detail)
			}
		})
	}
}

// TestProveRejectsBarriers shows barriers that move everything and yet let a rank through early.
func TestProveRejectsBarriers(t *testing.T) {
	programs, args := turnstile(4)
	for _, p := range programs {
		p.Steps = p.Steps[:2]
	}
	wantProofError(t, programs, args, PropertyEntry, "may leave before rank")

	// Without bytes nothing ties the rounds together: every send may go at once.
	programs, args = turnstile(4)
	for _, p := range programs {
		for i := range p.Steps {
			p.Steps[i].Dst, p.Steps[i].A = Span{}, Span{}
		}
	}
	wantProofError(t, programs, args, PropertyEntry, "may leave before rank")
}

// TestProveRejectsStrangers shows two pairs of ranks that never meet.
func TestProveRejectsStrangers(t *testing.T) {
	programs, args := turnstile(2)
	more, moreArgs := turnstile(2)
	programs, args = append(programs, more...), append(args, moreArgs...)
	for r, p := range programs {
		p.Collective, p.Rank, p.Size = Broadcast, r, 4
		p.Layouts = [Buffers]Layout{}
		for i := range p.Steps {
			p.Steps[i].Peer += r / 2 * 2
			p.Steps[i].Dst, p.Steps[i].A = Span{}, Span{}
		}
		args[r] = Args{Rank: r, Size: 4}
	}
	wantProofError(t, programs, args, PropertyContact, "no path of links leads to rank 0")
}

// TestRaceIsSeen takes dependencies away from plans, which only a faulty derivation could do.
func TestRaceIsSeen(t *testing.T) {
	programs, args := turnstile(3)
	p := &prover{
		o: ProveOptions{Args: args, ElemBytes: 1, ChunkBytes: wholeSteps}, programs: programs, size: 3,
	}
	for _, check := range []func() error{
		p.checkCall, p.checkSteps, p.lower, p.checkLinks, p.checkRaces,
	} {
		if err := check(); err != nil {
			t.Fatal(err)
		}
	}
	for r, plan := range p.plans {
		for i := range plan.Ops {
			if plan.SuccAt[i] == plan.SuccAt[i+1] {
				continue
			}
			// Operation i loses all that wait for it.
			at := plan.SuccAt
			plan.SuccAt = slices.Clone(at)
			gone := at[i+1] - at[i]
			succ := plan.Succ
			plan.Succ = slices.Concat(succ[:at[i]], succ[at[i+1]:])
			for k := i + 1; k < len(plan.SuccAt); k++ {
				plan.SuccAt[k] -= gone
			}
			var e *ProofError
			if err := p.checkRaces(); !errors.As(err, &e) || e.Check != PropertyRace || e.Rank != r {
				t.Errorf("rank %d: nothing waits for operation %d: got %v", r, i, err)
			}
			plan.SuccAt, plan.Succ = at, succ
		}
	}
}

func wantProofError(t *testing.T, programs []*Program, args []Args, check Property, detail string) {
	t.Helper()
	_, err := Prove(programs, ProveOptions{Args: args})
	var e *ProofError
	if !errors.As(err, &e) || e.Check != check || !strings.Contains(e.Detail, detail) {
		t.Errorf("got %v, want %s with %q", err, check, detail)
	}
}
