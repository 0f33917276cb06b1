package collective

import (
	"context"
	"fmt"
	"time"

	"github.com/tutti-ml/tutti/schedule"
	"github.com/tutti-ml/tutti/transport"
)

// Comm is a communicator: a group of ranks that make the same calls in the same order. Calls by
// several goroutines are safe, but it is for the callers to see that their order is the same on
// every rank; to run collectives independently of each other, Split.
//
// Once a call has returned one of *MismatchError, *RankFailedError, *AbortedError or
// *CancelledError the communicator has ended: every further call returns the first cause, on
// every rank. An *ArgumentError leaves it as it was.
type Comm struct {
	e          *engine
	id         uint32
	epoch      uint32
	rank, size int
	ranks      []int       // ranks in the job
	index      map[int]int // the other way
	planner    planner
	seq        uint64
	history    [historyLen]past
	left       map[int]bool // ranks that said goodbye
	knows      map[int]bool // ranks that said why the communicator has ended
	failed     *record
	local      error // what this rank returns instead of the record's error
	closed     bool
}

// historyLen is how many of its latest calls a communicator remembers, to tell a peer's different
// call from a later one.
const historyLen = 256

// past is a call made.
type past struct {
	seq         uint64
	fingerprint *transport.Fingerprint // nil: none has been made
}

// Rank is this process's rank in the communicator, from 0 to Size-1.
func (c *Comm) Rank() int { return c.rank }

// Size is the number of ranks.
func (c *Comm) Size() int { return c.size }

// Driver is the name of the driver that moves this process's frames: "auto", "zmq:tcp".
func (c *Comm) Driver() string { return c.e.driver }

// String names the communicator and this rank of it.
func (c *Comm) String() string {
	return fmt.Sprintf("comm %d rank %d of %d", c.id, c.rank, c.size)
}

// rankOf translates a peer into a rank of the communicator, -1 when it is not of it.
func (c *Comm) rankOf(p *peer) int {
	if r, ok := c.index[p.rank]; ok {
		return r
	}
	return -1
}

func (c *Comm) host(rank int) string {
	if rank == c.rank {
		return c.e.host
	}
	return c.e.peers[c.ranks[rank]].host
}

func (c *Comm) gone(rank int) bool { return c.left[rank] }

// made returns the fingerprint of this rank's call seq, if it is one of the latest.
func (c *Comm) made(seq uint64) (fp transport.Fingerprint, ok bool) {
	p := &c.history[seq%historyLen]
	if p.fingerprint == nil || p.seq != seq {
		return fp, false
	}
	return *p.fingerprint, true
}

// run makes a call and waits for it. One that is brief, as its like was before, has nothing to be checked that
// was not then.
func (c *Comm) run(ctx context.Context, r *request) error {
	e := c.e
	e.take()
	defer e.mu.Unlock()
	if entry := c.planner.recall(r); entry != nil {
		seq, begun, done := c.tryBrief(entry, r)
		if done {
			return nil
		}
		if begun {
			return c.finishPlan(ctx, entry, r, seq, true)
		}
	}
	e.rouse()
	entry, err := c.find(ctx, r)
	if err != nil {
		return err
	}
	return c.runPlan(ctx, entry, r)
}

// runPlan makes a call of a plan and waits for it. It is entered and left with the turn.
func (c *Comm) runPlan(ctx context.Context, entry *planned, r *request) error {
	seq, begun, done := c.tryBrief(entry, r)
	if done {
		return nil
	}
	if !begun {
		seq = c.number(entry, r)
	}
	return c.finishPlan(ctx, entry, r, seq, begun)
}

// finishPlan makes an ordinary call, which may have begun as a brief one, and waits for it.
func (c *Comm) finishPlan(ctx context.Context, entry *planned, r *request, seq uint64, begun bool) error {
	call := c.newCall(entry)
	call.reset(r)
	if begun {
		call.resume(entry.brief)
	}
	c.issue(ctx, call, seq)
	c.e.wait(ctx, call)
	err := call.err
	c.recycle(call)
	return err
}

// find returns the plan of a call, with all links that it needs. It is entered and left with the turn.
func (c *Comm) find(ctx context.Context, r *request) (*planned, error) {
	if err := r.check(c.rank, c.size); err != nil {
		return nil, err
	}
	if err := c.usable(); err != nil {
		return nil, err
	}
	entry, err := c.planner.get(r)
	if err != nil {
		return nil, err
	}
	if !entry.connected {
		if err := c.connect(ctx, entry); err != nil {
			return nil, err
		}
	}
	return entry, nil
}

// issue posts a call.
func (c *Comm) issue(ctx context.Context, call *call, seq uint64) {
	call.ctx, call.seq = ctx, seq
	c.e.post(call)
	if call.done {
		c.e.attend() // nobody will wait, and so lead, for it
	}
}

func (c *Comm) usable() error {
	if c.closed {
		return ErrClosed
	}
	if c.failed != nil {
		return c.failure()
	}
	return nil
}

// number gives a call its place in the order: among collectives, or among the messages to or from
// one peer.
func (c *Comm) number(entry *planned, r *request) (seq uint64) {
	if r.coll == schedule.SendRecv {
		ch := entry.channels[0]
		next := &ch.recvSeq
		if r.sending {
			next = &ch.sendSeq
		}
		seq = *next
		*next++
		return seq
	}
	seq = c.seq
	c.seq++
	made := &c.history[seq%historyLen]
	made.seq, made.fingerprint = seq, entry.fingerprint
	return seq
}

// newCall returns an idle call of a plan, or makes one.
func (c *Comm) newCall(entry *planned) *call {
	if n := len(entry.idle); n > 0 {
		call := entry.idle[n-1]
		entry.idle = entry.idle[:n-1]
		call.scratch = c.e.scratch.get(entry.plan.ScratchBytes)
		return call
	}
	call := &call{
		comm: c, entry: entry, plan: entry.plan,
		scratch: c.e.scratch.get(entry.plan.ScratchBytes),
		pending: make([]int32, len(entry.plan.Ops)),
		links:   make([]callLink, len(entry.plan.Links)),
		signal:  make(chan struct{}, 1),
	}
	for i := range call.links {
		call.links[i] = callLink{
			call: call, link: &entry.plan.Links[i], peer: entry.channels[i].peer, ch: entry.channels[i],
		}
	}
	return call
}

// recycle keeps a finished call for the next one of its plan.
func (c *Comm) recycle(call *call) {
	if call.err != nil { // a link may still have some of its memory
		c.e.scratch.lose(call.scratch)
		return
	}
	c.e.scratch.put(call.scratch)
	call.scratch = scratch{}
	if c.closed || call.entry.forgotten {
		return
	}
	if len(call.signal) > 0 {
		<-call.signal // nobody else takes it: nobody waits
	}
	call.buf = [schedule.Buffers][]byte{}
	call.ctx = nil
	call.entry.idle = append(call.entry.idle, call)
}

// dialTimeout bounds how long a link may take to open.
const dialTimeout = 30 * time.Second

var errNoAnswer = fmt.Errorf("no answer for %v", dialTimeout)

// connect finds the peers of a plan, and opens the links that this rank has to open: those to
// lower ranks. It gives up the turn while it dials.
func (c *Comm) connect(ctx context.Context, entry *planned) error {
	e := c.e
	if entry.channels == nil {
		for i := range entry.plan.Links {
			p := e.peers[c.ranks[entry.plan.Links[i].Peer]]
			ch := p.channel(channelID{c.id, entry.key.coll == schedule.SendRecv})
			ch.comm = c
			entry.channels = append(entry.channels, ch)
		}
	}
	e.sweep()
	for _, ch := range entry.channels {
		p := ch.peer
		if p.out != nil || p.dialling || p.err != nil || p.rank > e.rank {
			continue
		}
		p.dialling = true
		e.mu.Unlock()
		l, err := e.dial(ctx, p)
		e.enter()
		p.dialling = false
		if err != nil {
			e.sweep() // the peer may have opened a link itself, and said on it why it goes
		}
		switch {
		case err == nil:
			e.attach(l)
		case p.out != nil:
		case ctx.Err() == nil:
			e.lost(p, err)
			if c.usable() == nil {
				e.unreachable(c, p)
			}
		case c.usable() == nil: // the peer may be well: others can still dial it
			c.local = &CancelledError{Rank: c.rank, Waiting: []string{err.Error()}, Err: ctx.Err()}
			e.fail(c, c.quits(nil, ctx.Err().Error(), c.local))
		}
		if err := c.usable(); err != nil {
			e.attend()
			return err
		}
	}
	if c.planner.priority {
		for _, ch := range entry.channels {
			if p := ch.peer; p.urgent.out == nil && p.err == nil {
				e.openUrgent(ctx, p)
			}
		}
		if err := c.usable(); err != nil {
			e.attend()
			return err
		}
	}
	entry.connected = true
	entry.brief = c.newBrief(entry)
	return nil
}

// dial opens a link to a peer. The driver sees no deadline: with one it would go on trying until
// then, but the peer listened before anybody knew its address, and who refuses now has ended.
func (e *engine) dial(ctx context.Context, p *peer) (transport.Link, error) {
	bare, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() { cancel(ctx.Err()) })()
	defer time.AfterFunc(dialTimeout, func() { cancel(errNoAnswer) }).Stop()
	return e.ep.Dial(bare, p.rank, p.addresses)
}

// Abort ends the communicator: every call on it, here and on the other ranks, returns, with cause
// as the reason. It does not wait for anybody.
func (c *Comm) Abort(cause error) {
	e := c.e
	e.enter()
	defer e.mu.Unlock()
	if c.usable() != nil {
		return
	}
	e.fail(c, c.quits(e.currentCall(c), fmt.Sprint(cause), cause))
	e.attend()
	e.ep.Wake()
}

// quits is the record of this rank ending the communicator of its own accord, in a call or in none.
func (c *Comm) quits(in *call, text string, err error) *record {
	r := &record{
		cause: causeAborted, culprit: c.rank, witness: c.rank, host: c.e.host, text: text, err: err,
	}
	if in != nil {
		r.seqA, r.callA = in.seq, *in.entry.fingerprint
	}
	return r
}

// Close leaves the communicator. Other ranks may finish the calls that this rank has finished;
// a further call that needs this rank fails there. Calls that are under way return ErrClosed here,
// and the communicator ends as by Abort. The last communicator of a process closes its links. Close
// waits for no other rank's calls, but until what was sent has reached the others' systems: at once
// as a rule, up to 30 s where a rank has yet to read it, and up to 5 s to tell ranks that read
// nothing why a communicator has failed.
func (c *Comm) Close() error {
	e := c.e
	if !c.leave() {
		return nil
	}
	return e.shutdown()
}

// leave is Close but for the links, and reports whether they are to be closed.
func (c *Comm) leave() (last bool) {
	e := c.e
	e.enter()
	defer e.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed = true
	e.quit(c)
	for _, world := range c.ranks {
		p := e.peers[world]
		if p != nil {
			e.reclaim(p)
		}
		e.tell(p, transport.Header{Kind: transport.Goodbye, Comm: c.id, Epoch: c.epoch}, nil)
	}
	e.clear(c)
	c.planner.cache = nil // the rest stays, to know what comes late
	clear(c.planner.recent[:])
	e.open--
	if e.open > 0 {
		e.attend()
	}
	return e.open == 0
}
