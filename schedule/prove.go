package schedule

import (
	"fmt"
	"math/rand/v2"
)

// Property names what a proof can fail to show.
type Property string

// The properties that Prove checks, in this order.
const (
	// PropertyShape: spans, peers and layouts are legal and both ends of every link agree.
	PropertyShape Property = "shape"
	// PropertyDeadlock: the programs end even where a send waits for its receive.
	PropertyDeadlock Property = "deadlock"
	// PropertyRace: operations that touch the same byte, one of them writing, are ordered.
	PropertyRace Property = "race"
	// PropertyValue: nothing undefined is read and no contribution is counted twice, left out or
	// put in the wrong place.
	PropertyValue Property = "value"
	// PropertyOrder: ranks combine contributions in the order that they promise.
	PropertyOrder Property = "order"
	// PropertyEntry: no rank leaves a barrier before every rank has entered it.
	PropertyEntry Property = "entry"
	// PropertyContact: the links connect all ranks.
	PropertyContact Property = "contact"
)

// ProofError says which property the programs of a call do not have.
type ProofError struct {
	Check      Property
	Collective Collective
	Algorithm  string
	Size, Root int
	Rank       int // -1 when no single rank is at fault
	Step       int // index into the rank's Steps, -1 when no single step is at fault
	Detail     string
	Cause      error // what Lower said, nil otherwise
}

func (e *ProofError) Error() string {
	at := ""
	if e.Rank >= 0 {
		at = fmt.Sprintf(": rank %d", e.Rank)
	}
	if e.Step >= 0 {
		at += fmt.Sprintf(" step %d", e.Step)
	}
	return fmt.Sprintf("schedule: %s %s of %d ranks, root %d: %s%s: %s",
		e.Collective, e.Algorithm, e.Size, e.Root, e.Check, at, e.Detail)
}

func (e *ProofError) Unwrap() error { return e.Cause }

// ProveOptions says what the programs were built for and how closely to look.
type ProveOptions struct {
	// Args are the calls that the programs were built for, by rank. They are required: they tell
	// what each element of Out must hold.
	Args []Args
	// ElemBytes and ChunkBytes are given to Lower: the proof is one of the chunks that an executor
	// will run. 0 stands for elements of one byte, and for steps never cut. Steps that share groups
	// can deadlock in chunks alone, so prove those in chunks too.
	ElemBytes, ChunkBytes int
	// Canonical demands that every element is combined in the one order that Algorithm.Canonical
	// promises: pairs of neighbours while ranks exceed a power of two, then distances 1, 2, 4...
	Canonical bool
	// Rounded executes the programs with messages that are rounded: a number is rounded when it is
	// sent, when a Mirrored reduction combines it, and when it is complete; with Canonical every
	// reduction counts as Mirrored. All ranks must still end with the same value.
	Rounded bool
	// Orders is how many random legal orders are executed besides the one of rising dependencies;
	// all must give the same result. Seed chooses them.
	Orders int
	Seed   uint64
}

// wholeSteps is a chunk that no step exceeds.
const wholeSteps = 1 << 50

// Prove executes the programs of all ranks of one call symbolically, programs[r] being rank r's,
// and checks each Property. It returns what it learned on the way, or a *ProofError for the first
// property that does not hold. It changes neither programs nor arguments, and may run beside other
// proofs. Its time is about that of moving every block once.
func Prove(programs []*Program, o ProveOptions) (*Proof, error) {
	if o.ElemBytes == 0 {
		o.ElemBytes = 1
	}
	if o.ChunkBytes == 0 {
		o.ChunkBytes = wholeSteps
	}
	p := &prover{o: o, programs: programs, size: len(programs)}
	for _, check := range []func() error{
		p.checkCall, p.checkSteps, p.lower, p.checkLinks, p.checkDeadlock, p.checkRaces,
		p.checkValues, p.checkOrders, p.checkEntry, p.checkContact,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return p.proof(), nil
}

// ProveAlgorithm builds the programs of all ranks and proves them; args[r] is rank r's call. It
// returns the error of Applies when the algorithm cannot compute the call. o.Args and o.Canonical
// are taken from args and a.
func ProveAlgorithm(a *Algorithm, args []Args, o ProveOptions) (*Proof, error) {
	programs := make([]*Program, len(args))
	for r := range args {
		if a.Applies != nil {
			if err := a.Applies(args[r]); err != nil {
				return nil, err
			}
		}
		programs[r] = a.Build(args[r])
	}
	o.Args, o.Canonical = args, a.Canonical
	return Prove(programs, o)
}

// prover is the state of one proof. All places and lengths are in bytes.
type prover struct {
	o        ProveOptions
	programs []*Program
	size     int
	plans    []*Plan
	place    []placement // by rank

	// Operations of all ranks are numbered through: rank r's are base[r]...base[r+1]-1.
	base    []int32
	rankOf  []int32
	partner []int32 // the other end of a message, -1 for a local operation
	follows []int32 // the next frame of the same link and direction, -1 if there is none
	behind  []bool  // whether a frame of the same link and direction comes before

	order  []int32 // one end of each message, and each local operation, in an order that works
	terms  *terms
	result [][]run // each rank's Out after executing order
}

// op returns operation g of all ranks.
func (p *prover) op(g int32) *Op {
	r := p.rankOf[g]
	return &p.plans[r].Ops[g-p.base[r]]
}

// fail makes the error of a property; rank and step are -1 where there is none to blame.
func (p *prover) fail(check Property, rank, step int, format string, args ...any) *ProofError {
	e := &ProofError{
		Check: check, Size: p.size, Rank: rank, Step: step, Detail: fmt.Sprintf(format, args...),
	}
	if len(p.programs) > 0 && p.programs[0] != nil {
		first := p.programs[0]
		e.Collective, e.Algorithm, e.Root = first.Collective, first.Algorithm, first.Root
	}
	return e
}

// failOp is fail for the step of operation g.
func (p *prover) failOp(check Property, g int32, format string, args ...any) *ProofError {
	return p.fail(check, int(p.rankOf[g]), p.op(g).Step, format, args...)
}

// lower cuts every program and numbers the operations through.
func (p *prover) lower() error {
	p.plans = make([]*Plan, p.size)
	p.base = make([]int32, p.size+1)
	for r, program := range p.programs {
		plan, err := Lower(program, p.o.ElemBytes, p.o.ChunkBytes)
		if err != nil {
			e := p.fail(PropertyShape, r, -1, "cannot be lowered: %v", err)
			e.Cause = err
			return e
		}
		p.plans[r] = plan
		p.base[r+1] = p.base[r] + int32(len(plan.Ops))
	}
	p.rankOf = make([]int32, p.base[p.size])
	for r := range p.plans {
		for g := p.base[r]; g < p.base[r+1]; g++ {
			p.rankOf[g] = int32(r)
		}
	}
	return nil
}

// random returns the source of the k-th random order.
func (p *prover) random(k int) *rand.Rand { return rand.New(rand.NewPCG(p.o.Seed, uint64(k))) }
