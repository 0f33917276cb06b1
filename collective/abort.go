package collective

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tutti-ml/tutti/transport"
)

// cause is why a communicator has ended.
type cause uint8

const (
	causeFailed   cause = iota + 1 // a rank is gone
	causeAborted                   // a rank gave up
	causeMismatch                  // two ranks made different calls
)

// record is the first cause of a communicator's end. It floods to all ranks, and every rank makes
// its error of it. Ranks in a record are ranks of the communicator.
type record struct {
	cause      cause
	culprit    int // who is gone, who gave up, or the first of the two that disagree
	witness    int // who saw it, or the second of the two
	time       time.Time
	seqA, seqB uint64
	callA      transport.Fingerprint
	callB      transport.Fingerprint
	host       string // of the culprit
	link       string
	text       string

	err   error // what happened, on the rank where it did
	later []string
}

// maxLater bounds the later errors that are kept with a first cause, maxText each text in a
// record, in bytes.
const (
	maxLater = 8
	maxText  = 512
)

var errRecord = errors.New("abort record does not parse")

func (r *record) encode() []byte {
	le := binary.LittleEndian
	b := []byte{byte(r.cause)}
	b = le.AppendUint32(b, uint32(int32(r.culprit)))
	b = le.AppendUint32(b, uint32(int32(r.witness)))
	b = le.AppendUint64(b, uint64(r.time.UnixNano()))
	b = le.AppendUint64(b, r.seqA)
	b = le.AppendUint64(b, r.seqB)
	b = append(b, r.callA[:]...)
	b = append(b, r.callB[:]...)
	for _, s := range []string{r.host, r.link, r.text} {
		s = s[:min(len(s), maxText)]
		b = le.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

// decodeRecord reads a record from the wire. What it names may still be nonsense: size bounds ranks.
func decodeRecord(b []byte, size int) (*record, error) {
	const fixed = 1 + 4 + 4 + 8 + 8 + 8 + 2*transport.FingerprintBytes
	if len(b) < fixed {
		return nil, errRecord
	}
	le := binary.LittleEndian
	r := &record{
		cause: cause(b[0]), culprit: int(int32(le.Uint32(b[1:]))), witness: int(int32(le.Uint32(b[5:]))),
		time: time.Unix(0, int64(le.Uint64(b[9:]))), seqA: le.Uint64(b[17:]), seqB: le.Uint64(b[25:]),
	}
	copy(r.callA[:], b[33:])
	copy(r.callB[:], b[33+transport.FingerprintBytes:])
	b = b[fixed:]
	for _, s := range []*string{&r.host, &r.link, &r.text} {
		if len(b) < 2 || len(b)-2 < int(le.Uint16(b)) || le.Uint16(b) > maxText {
			return nil, errRecord
		}
		n := 2 + int(le.Uint16(b))
		*s, b = string(b[2:n]), b[n:]
	}
	ok := func(rank int) bool { return rank >= 0 && rank < size }
	if r.cause < causeFailed || r.cause > causeMismatch || !ok(r.culprit) || !ok(r.witness) || len(b) > 0 {
		return nil, errRecord
	}
	return r, nil
}

// error makes the record into the error that rank returns.
func (r *record) error() error {
	a := describe(r.seqA, r.callA)
	switch r.cause {
	case causeFailed:
		return &RankFailedError{
			Rank: r.culprit, Host: r.host, DetectedBy: r.witness, Link: r.link, Call: a,
			Time: r.time, Cause: r.text, Err: r.err, Later: r.later,
		}
	case causeMismatch:
		return &MismatchError{
			RankA: r.culprit, CallA: a, RankB: r.witness, CallB: describe(r.seqB, r.callB), Later: r.later,
		}
	default:
		return &AbortedError{
			Rank: r.culprit, Host: r.host, Call: a, Time: r.time, Cause: r.text, Err: r.err,
			Later: r.later,
		}
	}
}

// failure is the error that calls on a failed communicator return.
func (c *Comm) failure() error {
	if c.local != nil {
		return c.local
	}
	return c.failed.error()
}

// fail ends a communicator: its first cause is told to all peers, and every call on it returns.
func (e *engine) fail(c *Comm, r *record) {
	if c.failed != nil {
		if len(c.failed.later) < maxLater && r.text != "" {
			c.failed.later = append(c.failed.later, r.text)
		}
		return
	}
	if r.time.IsZero() {
		r.time = time.Now()
	}
	c.failed = r
	e.log.Warn("communicator ended", "rank", c.rank, "comm", c.id, "cause", r.error())
	for _, world := range c.ranks {
		p := e.peers[world]
		if p == nil {
			continue
		}
		e.reclaim(p)
		e.tell(p, transport.Header{Kind: transport.Abort, Comm: c.id, Epoch: c.epoch}, r.encode())
	}
	e.passOn(c)
	e.clear(c)
	for i := len(e.active) - 1; i >= 0; i-- {
		if e.active[i].comm == c {
			e.finish(e.active[i], c.failure())
		}
	}
}

// clear empties the channels of a communicator that has ended.
func (e *engine) clear(c *Comm) {
	for _, p := range e.peers {
		if p == nil {
			continue
		}
		for _, ch := range p.channels {
			if ch.comm == c {
				ch.sendQ.clear()
				ch.recvQ.clear()
				ch.held.clear()
				ch.heldBytes = 0
			}
		}
	}
}

// passOn opens a link to the next rank that can be reached, if there is none, so that the first
// cause goes round all ranks: one that others were to dial, and that made another call, may have no
// link at all. Close waits for the link.
func (e *engine) passOn(c *Comm) {
	for k := 1; k < c.size; k++ {
		rank := (c.rank + k) % c.size
		p := e.peers[c.ranks[rank]]
		dead := c.failed.cause == causeFailed && c.failed.culprit == rank
		if p.err != nil || dead || c.gone(rank) {
			continue
		}
		if p.out == nil {
			e.dialLater(p, true)
		}
		return
	}
}

// cancelled ends a call, and with it its communicator, because the context of this rank's caller
// ended.
func (e *engine) cancelled(c *call, cause error) {
	comm := c.comm
	if comm.failed == nil {
		ce := &CancelledError{
			Rank: comm.rank, Call: describe(c.seq, *c.entry.fingerprint),
			After: c.lasted(), Waiting: c.waiting(), Err: cause,
		}
		comm.local = ce
		e.fail(comm, comm.quits(c, cause.Error(), ce))
	}
}

// waiting says, for each link that has not finished, what it waits for.
func (c *call) waiting() (w []string) {
	for i := range c.links {
		cl := &c.links[i]
		if cl.idle() {
			continue
		}
		r := c.comm.rankOf(cl.peer)
		switch {
		case cl.peer.out == nil:
			w = append(w, fmt.Sprintf("rank %d (%s) to connect", r, cl.peer.host))
		case cl.recvAt < len(cl.link.Recvs):
			w = append(w, fmt.Sprintf("frame %d of %d from rank %d (%s) over %s",
				cl.recvAt, len(cl.link.Recvs), r, cl.peer.host, cl.peer.out))
		default:
			w = append(w, fmt.Sprintf("rank %d (%s) to take frame %d of %d over %s",
				r, cl.peer.host, cl.ended, len(cl.link.Sends), cl.peer.out))
		}
	}
	return w
}

// mismatch ends a communicator because this rank's call seq and a peer's differ.
func (e *engine) mismatch(
	c *Comm, seq uint64, fp transport.Fingerprint,
	p *peer, theirSeq uint64, theirs transport.Fingerprint,
) {
	r := &record{
		cause: causeMismatch, culprit: c.rank, witness: c.rankOf(p), seqA: seq, callA: fp,
		seqB: theirSeq, callB: theirs, host: c.host(c.rank),
	}
	if r.witness < r.culprit {
		r.culprit, r.witness = r.witness, r.culprit
		r.seqA, r.seqB = r.seqB, r.seqA
		r.callA, r.callB = r.callB, r.callA
	}
	e.fail(c, r)
}

// compare looks a frame's call up among this rank's latest calls: a different one is a mismatch.
func (e *engine) compare(c *Comm, p *peer, h *transport.Header) {
	if fp, ok := c.made(h.Seq); ok && fp != h.Fingerprint {
		e.mismatch(c, h.Seq, fp, p, h.Seq, h.Fingerprint)
	}
}

// protocol gives a peer up that breaks the rules of the frames.
func (e *engine) protocol(c *Comm, p *peer, format string, args ...any) {
	link := "no link"
	if p.out != nil {
		link = p.out.String()
	}
	p.hangUp() // nothing that comes after this can be trusted
	e.giveUp(p, &ProtocolError{
		Rank: e.rank, Peer: p.rank, Link: link, Reason: fmt.Sprintf(format, args...),
	})
	if c != nil {
		e.unreachable(c, p)
	}
}

// deafened notes that nothing can be sent to a peer any more, and reads what it has sent: that may
// be all that was needed of it, or tell why it went.
func (e *engine) deafened(p *peer, err error) {
	if p.deaf != nil {
		return
	}
	p.deaf = err
	p.control.clear()
	p.urgent.control.clear()
	e.drain(p)
}

// drain reads all that a peer has sent, into held memory where no operation can take it.
func (e *engine) drain(p *peer) {
	for again := true; again; {
		again = e.poll(p)
		for _, l := range p.links {
			if l.stalled && e.hold(p, l) {
				again = true
			}
		}
	}
}

// lost notes that a peer can't be reached any more, and ends the communicators whose calls need it.
// While its links are being read that waits until they have been: what is on them came before. So
// did a link that waits to be accepted: on it the peer may have said why it goes, see goRound.
func (e *engine) lost(p *peer, err error) {
	if p.err != nil {
		return
	}
	if p.polling {
		if p.ended == nil {
			p.ended = err
		}
		return
	}
	e.welcome()
	e.giveUp(p, err)
}

// giveUp is lost at once. The links close: nobody will read from them again, and what they would
// bring would keep the endpoint from waiting.
func (e *engine) giveUp(p *peer, err error) {
	if p.err != nil {
		return
	}
	p.err = err
	e.deafened(p, err)
	e.drain(p)
	e.reap(p)
	for i := len(e.active) - 1; i >= 0; i-- {
		if i >= len(e.active) {
			continue // ending one communicator ended several calls
		}
		for k := range e.active[i].links {
			cl := &e.active[i].links[k]
			if cl.peer == p && cl.needs() {
				e.unreachable(e.active[i].comm, p)
				break
			}
		}
	}
	e.reclaim(p)
	p.inflight.clear()
	p.urgent.inflight.clear()
	p.hangUp()
}

// hangUp closes the links to a peer. Their errors tell nothing that matters any more.
func (p *peer) hangUp() {
	links := p.links
	p.links = nil
	for _, l := range links {
		_ = l.Close()
	}
}

// unreachable ends a communicator because one of its ranks can't be reached.
func (e *engine) unreachable(c *Comm, p *peer) {
	r := &record{
		cause: causeFailed, culprit: c.rankOf(p), witness: c.rank, host: p.host,
		err: p.err, link: "no link",
	}
	if p.err != nil {
		r.text = p.err.Error()
	}
	if p.out != nil {
		r.link = p.out.String()
	}
	if call := e.currentCall(c); call != nil {
		r.seqA, r.callA = call.seq, *call.entry.fingerprint
	}
	if c.gone(r.culprit) {
		r.cause, r.text = causeAborted, "it closed its communicator"
	}
	e.fail(c, r)
}

func (e *engine) currentCall(c *Comm) *call {
	for _, a := range e.active {
		if a.comm == c {
			return a
		}
	}
	return nil
}
